"""Nobody is locked out: what the guard does, what a yes is worth, and the look for the address after a restart."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ouchi.apply import reboot
from ouchi.changes import path
from tests.unit.test_apply import ryzen


@pytest.mark.parametrize(("has", "did"), [("192.0.2.20/24", ""), ("192.0.2.21/24", "put back\nreboot\n")])
def test_the_machine_looks_for_its_address_once(
    has: str, did: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A later start without a network puts nothing back, and one that stays away restarts nothing for ever."""
    monkeypatch.setattr(reboot, "CARRIER_SECONDS", 1)
    folder, said = tmp_path / "host", tmp_path / "said"
    programs = {
        "ip": f"echo '2: enp6s0    inet {has} brd 192.0.2.255 scope global enp6s0'",
        "sleep": ":",
        "systemctl": f"echo reboot >>{said}",
    }
    for name, text in programs.items():
        (tmp_path / "bin").mkdir(exist_ok=True)
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    folder.mkdir()
    (folder / "rescue.sh").write_text(f"echo put back >{said}\n")
    script = folder / "watch.sh"
    script.write_text(path.text_of(reboot._watching(str(folder), ryzen().facts)[0].state))
    environment = {"PATH": f"{tmp_path}/bin:/usr/bin:/bin"}
    subprocess.run(["sh", script], env=environment, stdout=subprocess.DEVNULL, check=True)
    assert (said.read_text() if said.exists() else "") == did
    assert not script.exists()
