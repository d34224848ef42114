"""A virtual machine as a guest: QEMU's command line, the guest's script, and failures of QEMU.

QEMU and genisoimage are stand-ins: two scripts in a folder that is looked in first.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ouchi.core.errors import Failed
from ouchi.machine.local import LocalMachine
from ouchi.vnf.vm import NETWORKS, ROUTES, GuestVm, VmConfig, VmPort, command, router, start_vm

MACHINE = LocalMachine()
CPU = min(os.sched_getaffinity(0))
SHAPE = VmConfig(cpus=(CPU, CPU), kvm=False)
SIDES = (VmPort("/s/left", "02:0c:00:00:00:03", "02:0c:00:00:00:01"), VmPort("/s/right", "02:0c:00:00:00:04", "02:0c:00:00:00:02"))  # fmt: skip

QEMU = f"""\
#!{sys.executable}
import os, sys, time
console = next(word for word in sys.argv if word.startswith("file:"))[5:]
print("qemu: here", flush=True)
if "vcpu" in os.environ["FAKE"]:
    with open(f"/proc/self/task/{{os.getpid()}}/comm", "w") as name:
        name.write("CPU 0/TCG")
with open(console, "w") as guest:
    guest.write("\\x1b[6nBIOS\\r\\n")
    if "routes" in os.environ["FAKE"]:
        guest.write("/ # {ROUTES}\\r\\n")
if "ends" in os.environ["FAKE"]:
    sys.exit("no memory")
time.sleep(60)
"""
GENISOIMAGE = """\
#!/bin/sh
while [ $# -gt 1 ]; do [ "$1" = -o ] && out=$2; shift; done
cat "$1/openstack/latest/meta_data.json" "$1/openstack/latest/user_data" >"$out"
"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the stand-ins."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, text in (("qemu-system-x86_64", QEMU), ("genisoimage", GENISOIMAGE)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


def start(folder: Path, fake: str) -> GuestVm:
    ports = tuple(VmPort(f"{folder}/{end}.sock", f"02:0c:00:00:00:0{end}", "02:0c:00:00:00:01") for end in (3, 4))
    return start_vm(MACHINE, str(folder), 0, "/no/image", ports=(ports[0], ports[1]), config=SHAPE, env={"FAKE": fake})


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.name != "bin"}


def value(argv: list[str], option: str) -> str:
    return argv[argv.index(option) + 1]


def test_command_line() -> None:
    argv = command("/f/guest0", 0, "/images/a,b.img", ports=SIDES, config=SHAPE)
    assert value(argv, "-machine") == "q35,memory-backend=memory"
    memory = value(argv, "-object").split(",")
    for word in ("size=262144K", "share=on", "hugetlb=on", "hugetlbsize=2048K", "host-nodes=0", "policy=bind"):
        assert word in memory
    assert value(argv, "-m") == "262144K"
    drives = [argv[number + 1] for number, word in enumerate(argv) if word == "-drive"]
    assert drives[0].startswith("file=/images/a,,b.img,")
    assert all(drive.endswith("readonly=on") for drive in drives)
    assert "socket,id=socket1,path=/s/right,server=on,wait=off" in argv
    ports = [word for word in argv if word.startswith("virtio-net-pci")]
    for side, port in zip(SIDES, ports, strict=True):
        assert f"mac={side.mac},rx_queue_size=1024,tx_queue_size=1024,host_mtu=1500" in port
        assert port.endswith(",vectors=0")
    assert value(argv, "-accel") == "tcg"


def test_command_line_with_kvm_and_huge_pages() -> None:
    shape = VmConfig(cpus=(0, 1), kvm=True, mtu=9000, node=1, page_kib=1048576)
    argv = command("/f/guest0", 0, "/image", ports=SIDES, config=shape)
    assert (value(argv, "-accel"), value(argv, "-cpu")) == ("kvm", "host")
    assert value(argv, "-m") == "1048576K"  # a whole page
    assert "hugetlbsize=1048576K,host-nodes=1" in value(argv, "-object")
    ports = [word for word in argv if word.startswith("virtio-net-pci")]
    assert len(ports) == 2
    assert all("host_mtu=9000" in port and "vectors" not in port for port in ports)


def test_what_the_guest_is_reported() -> None:
    script = router(SIDES, 9000)
    assert script.startswith("#!")
    assert "@" not in script.replace('"$@"', "")
    joins = [line.split()[1:] for line in script.splitlines() if line.startswith("join 02:")]
    assert [(mac, neighbour, network) for mac, neighbour, network, *_ in joins] == [
        (side.mac, side.neighbour, network) for side, network in zip(SIDES, NETWORKS, strict=True)
    ]
    assert len({address for *_, own, gateway in joins for address in (own, gateway)}) == 4
    assert "mtu 9000" in script
    subprocess.run(["sh", "-n"], input=script, text=True, check=True)


@pytest.mark.usefixtures("programs")
def test_a_guest_that_routes(tmp_path: Path) -> None:
    guest = start(tmp_path, "vcpu routes")
    try:
        guest.wait_ready(10)
        assert os.sched_getaffinity(guest.pid) == {CPU}
        assert files(tmp_path) == {"guest0.log", "guest0.console", "guest0.iso"}
        result = (tmp_path / "guest0.iso").read_text()
        assert '"ouchi_forwards": "true"' in result  # as the image looks for it
        assert "join 02:0c:00:00:00:03 " in result
        assert guest.log_tail() == f"BIOS\n/ # {ROUTES}\nqemu: here"
    finally:
        guest.end()
    assert files(tmp_path) == {"guest0.log", "guest0.console"}


@pytest.mark.usefixtures("programs")
@pytest.mark.parametrize(
    ("fake", "reason"),
    [
        ("ends vcpu", r"ended with status 1: BIOS\nqemu: here\nno memory"),
        ("routes", "waits for both ports to be attached"),
        ("vcpu", rf"waited 1 s for the virtual machine to print '{ROUTES}'\n  found: +BIOS\nqemu: here"),
    ],
)
def test_a_guest_that_does_not(tmp_path: Path, fake: str, reason: str) -> None:
    guest = start(tmp_path, fake)
    try:
        with pytest.raises(Failed, match=reason):
            guest.wait_ready(1)
    finally:
        guest.end()
        guest.end()
    assert files(tmp_path) == {"guest0.log", "guest0.console"}


@pytest.mark.usefixtures("programs")
def test_what_a_killed_run_left_is_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / "guest0.config/openstack/old").mkdir(parents=True)
    (tmp_path / "guest0.console").write_text(ROUTES)
    for name in ("guest0.iso", "3.sock", "4.sock"):
        (tmp_path / name).touch()
    guest = start(tmp_path, "vcpu")
    try:
        assert files(tmp_path) - {"guest0.console"} == {"guest0.log", "guest0.iso"}
        with pytest.raises(Failed, match="waited"):  # the old word does not count
            guest.wait_ready(0.5)
    finally:
        guest.end()


def test_a_missing_program(programs: Path, tmp_path: Path) -> None:
    (programs / "genisoimage").write_text("#!/bin/sh\necho disk full >&2; exit 5\n")
    with pytest.raises(Failed, match="disk full"):
        start(tmp_path, "")
    assert not files(tmp_path)
