"""ouchi on the very machine that it changes: it continues after the reboot."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from practice import SOURCE, PracticeRig, look, site, wait, without_boot

FOLDER = "/root/a $HOME of 100%n"
"""Where systemd would put words of its own in."""
OUCHI = f"cd '{FOLDER}'; python3 -I -B -m ouchi"


@pytest.fixture(scope="module")
def before(rig: PracticeRig, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The machine with ouchi, before it changes anything."""
    # Debian 13's click is too old for ouchi; ours is pure Python and comes along.
    rig.copy_in(SOURCE, "/opt/ouchi/src")
    rig.copy_in(Path(click.__file__).parent, "/opt/ouchi/src/click")
    rig.run("echo /opt/ouchi/src >$(python3 -c 'import site; print(site.getsitepackages()[0])')/ouchi.pth")
    path = site(tmp_path_factory.mktemp("site"))
    path.write_text(path.read_text().replace("address: root@rig\n", ""))
    rig.copy_in(path, "/root/ouchi.yaml")
    rig.run(f"mkdir '{FOLDER}'; mv /root/ouchi.yaml '{FOLDER}'")
    rig.run("systemctl enable --now openvswitch-switch", timeout=120)
    return look(rig)


@pytest.fixture(scope="module")
def journal(rig: PracticeRig, before: list[str]) -> str:  # noqa: ARG001
    """What systemd logged of ouchi after ``apply`` has rebooted the machine; all is done."""
    done = rig.run(f"{OUCHI} apply --yes", timeout=240)
    assert "ouchi continues afterwards" in done.stdout
    rig.await_reboot(240)
    wait(lambda: rig.run("ls /etc/systemd/system/ouchi-rebooted.service", check=False).status != 0, 240)
    # A unit that still starts is ended after 90 s once its file is gone; this one may take its time.
    assert rig.run("systemctl is-active ouchi-continue", check=False).stdout.strip() in ("active", "inactive")
    wait(lambda: rig.run("pgrep -f 'm ouchi'", check=False).status != 0, 240)
    return rig.run("journalctl --no-pager -u ouchi-watch -u ouchi-continue").stdout


def test_it_continues_after_the_reboot(rig: PracticeRig, journal: str) -> None:
    assert "confirmed over a new connection" in journal, journal
    assert rig.run("basename $(readlink /sys/bus/pci/devices/0000:01:00.0/driver)").stdout == "vfio-pci\n"
    assert rig.run("ls /etc/systemd/system/ | grep -e ouchi-w -e ouchi-r", check=False).stdout == ""
    assert "nothing to do: the host is as planned" in rig.run(f"{OUCHI} apply --dry-run", timeout=120).stdout


@pytest.mark.exhaustive
def test_it_undoes_all(rig: PracticeRig, before: list[str], journal: str) -> None:  # noqa: ARG001
    """That undo reboots the machine too is tried from outside."""
    rig.run(f"{OUCHI} undo --yes --no-reboot", timeout=240)
    assert without_boot(look(rig)) == without_boot(before)
