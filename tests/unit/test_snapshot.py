"""Snapshots: what is saved of a host and what is not, and archives that are damaged or mean harm."""

from __future__ import annotations

import bz2
import errno
import gzip
import io
import ipaddress
import json
import lzma
import os
import random
import re
import resource
import stat
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ouchi.cli import main
from ouchi.errors import BadInput
from ouchi.facts import collect
from ouchi.facts.addresses import interface_addresses
from ouchi.machine.local import LocalMachine
from ouchi.machine.snapshot import SnapshotReader, Tree, archive, open_snapshot
from ouchi.machine.snapshot.recorder import Noted, Recorder
from ouchi.machine.snapshot.redact import Macs, cmdline, redact
from ouchi.machine.snapshot.save import save
from tests.hosts import folder


def recorded(folder: Path) -> Recorder:
    """A folder after its facts were collected through a recorder."""
    tree = SnapshotReader(folder)
    recorder = Recorder(tree, tree.readlink)
    collect(recorder)
    return recorder


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a good archive."""
    path = tmp_path_factory.mktemp("good") / "host.tar.gz"
    save(recorded(folder("ryzen-5-3600")).noted, path)
    return path.read_bytes()


def tar(*members: tuple[str | bytes, str | bytes], form: int = tarfile.GNU_FORMAT) -> bytes:
    """A tar archive of (name, content); ``-> x`` makes a link, ``=> x`` a hard link, ``p`` a pipe, ``d`` a folder."""
    found = io.BytesIO()
    with tarfile.open(fileobj=found, mode="w", format=form, errors="surrogateescape") as made:
        for name, content in (("proc/cpuinfo", "processor : 0\n"), *members):
            info = tarfile.TarInfo(os.fsdecode(name))
            data = os.fsencode(content)
            if data.startswith((b"-> ", b"=> ")):
                info.type = tarfile.SYMTYPE if data.startswith(b"-") else tarfile.LNKTYPE
                info.linkname, data = os.fsdecode(data[3:]), b""
            elif data in (b"<p>", b"<d>", b"<c>"):
                info.type = {b"<p>": tarfile.FIFOTYPE, b"<d>": tarfile.DIRTYPE, b"<c>": tarfile.CHRTYPE}[data]
                data = b""
            info.size = len(data)
            made.addfile(info, io.BytesIO(data))
    return found.getvalue()


def opened(folder: Path, data: bytes, name: str = "host.tar") -> Tree:
    (folder / name).write_bytes(data)
    return open_snapshot(folder / name)


# What is saved


def test_this_machine_is_the_same_from_its_snapshot(tmp_path: Path) -> None:
    recorder = Recorder(LocalMachine())
    here = collect(recorder).to_json()
    save(recorder.noted, tmp_path / "host.tar.gz")
    there = collect(open_snapshot(tmp_path / "host.tar.gz")).to_json()
    macs = Macs()
    for nic in sorted(here["nics"], key=lambda nic: str(nic["name"])):
        nic["mac"] = macs.replace(nic["mac"])
    kept = cmdline(" ".join(here["boot"].pop("parameters"))).split()
    assert there["boot"].pop("parameters") == kept
    text = json.dumps(here)
    if not any(ipaddress.ip_address(found).is_global for found in re.findall(r"\d+(?:\.\d+){3}", text)):
        assert there == here


@pytest.mark.parametrize("host", ["core-i5-13500", "n100-mini-pc", "only-nic-carries-session", "vm-4-cpus"])
def test_every_host_is_the_same_from_its_archive(host: str, tmp_path: Path) -> None:
    recorder = recorded(folder(host))
    save(recorder.noted, tmp_path / "host.tar.gz")
    before, after = (collect(tree) for tree in (open_snapshot(folder(host)), open_snapshot(tmp_path / "host.tar.gz")))
    assert (after.cpus, after.memory, after.system) == (before.cpus, before.memory, before.system)
    assert [(nic.name, nic.address, nic.driver, nic.default_route, len(nic.addresses)) for nic in after.nics] == [
        (nic.name, nic.address, nic.driver, nic.default_route, len(nic.addresses)) for nic in before.nics
    ]


def test_the_same_facts_are_the_same_bytes_for_their_owner_only(tmp_path: Path, good: bytes) -> None:
    path = tmp_path / "host.tar.gz"
    save(recorded(folder("ryzen-5-3600")).noted, path)
    assert path.read_bytes() == good
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = open_snapshot(path)
    recorder = Recorder(again, again.readlink)
    collect(recorder)
    save(recorder.noted, path)  # replaced, by what was read from itself
    assert path.read_bytes() == good
    assert os.listdir(tmp_path) == ["host.tar.gz"]


def test_one_file_tells_one_story(tmp_path: Path) -> None:
    """What changes while it is read, like free memory, is noted as it was first seen."""
    (tmp_path / "meminfo").write_text("1")
    recorder = Recorder(SnapshotReader(tmp_path), lambda path: os.readlink(f"{tmp_path}{path}"))
    assert recorder.read("/meminfo") == "1"
    (tmp_path / "meminfo").write_text("2")
    assert recorder.read("/meminfo") == "1"
    assert recorder.noted.files == {"/meminfo": b"1"}


def test_nothing_else_is_replaced(tmp_path: Path) -> None:
    noted = Noted(files={"/proc/cpuinfo": b"x"})
    (tmp_path / "thesis").write_text("years of work")
    (tmp_path / "other.tar").write_bytes(tar())
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "dangling").symlink_to("nowhere")
    for name in ("thesis", "other.tar", "pipe", "dangling", "."):
        with pytest.raises(BadInput, match="something else in the place"):
            save(noted, tmp_path / name)
    assert (tmp_path / "thesis").read_text() == "years of work"
    with pytest.raises(BadInput, match="cannot be saved"):
        save(noted, tmp_path / "no" / "such" / "folder.tar.gz")


def test_links_are_saved_as_links(tmp_path: Path) -> None:
    root = tmp_path / "root"
    function = root / "sys/devices/pci0000:00/0000:00:03.0"
    (function / "virtio0/net/eth0").mkdir(parents=True)
    (function / "uevent").write_text("PCI_SLOT_NAME=0000:00:03.0\n")
    (function / "virtio0/net/eth0/device").symlink_to("../../../virtio0")
    (root / "sys/class/net").mkdir(parents=True)
    (root / "sys/class/net/eth0").symlink_to("../../devices/pci0000:00/0000:00:03.0/virtio0/net/eth0")
    (function / "driver").symlink_to("../../../bus/pci/drivers/virtio-pci")  # leads to nothing that was recorded
    recorder = Recorder(SnapshotReader(root), lambda path: os.readlink(f"{root}{path}"))
    path = "/sys/class/net/eth0/device/../uevent"
    assert recorder.read(path) == "PCI_SLOT_NAME=0000:00:03.0\n"
    assert recorder.link("/sys/class/net/eth0/device/../driver") == "virtio-pci"
    assert recorder.entries("/sys/class/net") == ["eth0"]
    save(recorder.noted, tmp_path / "host.tar.gz")
    found = open_snapshot(tmp_path / "host.tar.gz")
    assert found.read(path) == found.read("/sys/devices/pci0000:00/0000:00:03.0/uevent")
    assert found.link("/sys/class/net/eth0/device/../driver") == "virtio-pci"
    assert found.readlink("/sys/class/net/eth0").startswith("../../devices/")
    assert not found.exists("/sys/class/net/eth0/device/../driver")
    assert not found.exists("/sys/class/net/eth1/../eth0")  # as on a host: there is no eth1 to leave again


def test_of_drivers_only_what_they_say_of_themselves(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    said = b'PMD_INFO_STRING= {"name" : "net_i40e"}\0'
    (tmp_path / "lib.so").write_bytes(b"\x7fELF" + random.Random(1).randbytes(5 << 20) + said + b"/home/builder\0")
    recorder = Recorder(SnapshotReader(tmp_path), lambda path: os.readlink(f"{tmp_path}{path}"))
    assert len(recorder.read_bytes("/lib.so", 8 << 20)) > 5 << 20
    assert said in recorder.noted.files["/lib.so"]
    assert b"builder" not in recorder.noted.files["/lib.so"]
    assert len(recorder.noted.files["/lib.so"]) < 1000


# What is left out

ROUTE = """Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t0100A805\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t0000A805\t00000000\t0001\t0\t0\t0\t00FCFFFF\t0\t0\t0
eth1\t000A000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
eth0\t00003D08\t0200A805\t0003\t0\t0\t0\t0000FFFF\t0\t0\t0
"""
TRIE = """Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 8.61.0.0
        /16 universe UNICAST
Local:
     |-- 5.168.2.9
        /32 host LOCAL
     |-- 10.0.10.7
        /32 host LOCAL
"""
IF_INET6 = """2a0104f8000000003efdfefffe6789ab 02 40 00 80     eth0
fe800000000000003efdfefffe6789ab 02 40 20 80     eth0
"""


def private() -> Noted:
    """A host with everything that should not leave it."""
    return Noted(
        files={
            "/proc/cmdline": b'root=UUID=6c0f3b1e-1111-2222-3333-444455556666 ip=5.168.2.9 isolcpus=2-5 password="a b" '
            b"intel_iommu=on hugepagesz=1G hugepages=8 luks.key=geheim nohz_full=2-5 -- init secret\n",
            "/proc/cpuinfo": b"processor : 0\nSerial\t\t: 00000000c0ffee00\nModel\t: Pi\n",
            "/proc/net/route": ROUTE.encode(),
            "/proc/net/fib_trie": TRIE.encode(),
            "/proc/net/if_inet6": IF_INET6.encode(),
            "/sys/devices/virtual/net/eth0/address": b"3c:fd:fe:67:89:ab\n",
            "/sys/devices/virtual/net/enx3cfdfe0a0b0c/address": b"3c:fd:fe:0a:0b:0c\n",
            "/sys/devices/virtual/net/ib0/address": b"80:00:02:08:fe:80:00:00:00:00:00:00:00:02:c9:03:00:0b:ad:01\n",
            "/sys/devices/virtual/net/lo/address": b"00:00:00:00:00:00\n",
            "/sys/devices/virtual/dmi/id/product_serial": b"S3R14L\n",
            "/sys/devices/virtual/dmi/id/product_uuid": b"6c0f3b1e-1111-2222-3333-444455556666\n",
            "/sys/devices/virtual/dmi/id/sys_vendor": b"ASUS\n",
            "/sys/devices/pci0000:00/0000:00:01.0/config": bytes(64) + b"SERIAL",
            "/sys/bus/vmbus/id": b"{6c0f3b1e-1111-2222-3333-444455556666}\n",
        },
        links={"/sys/class/net/enx3cfdfe0a0b0c": "../../devices/virtual/net/enx3cfdfe0a0b0c"},
        names={"/sys/class/net/enx3cfdfe0a0b0c"},
    )


def test_secrets_stay_at_home() -> None:
    found = redact(private(), "5.168.2.9")
    everything = repr(found).lower()
    for secret in (
        "6c0f3b1e", "geheim", "a b", "init", "c0ffee", "s3r14l", "serial", "67:89:ab", "6789ab", "0a:0b:0c", "0a0b0c",
        "0b:ad:01", "5.168", "a805", "2a0104f8", "3d08", "8.61",
    ):  # fmt: skip
        assert secret not in everything, secret
    text = {place: content.decode() for place, content in found.files.items()}
    assert text["/proc/cmdline"] == "isolcpus=2-5 intel_iommu=on hugepagesz=1G hugepages=8 nohz_full=2-5\n"
    assert text["/proc/cpuinfo"] == "processor : 0\nModel\t: Pi\n"
    assert text["/sys/devices/virtual/net/eth0/address"] == "3c:fd:fe:00:00:02\n"
    assert text["/sys/devices/virtual/net/enx3cfdfe000001/address"] == "3c:fd:fe:00:00:01\n"
    assert found.links["/sys/class/net/enx3cfdfe000001"] == "../../devices/virtual/net/enx3cfdfe000001"
    assert text["/sys/devices/virtual/net/lo/address"] == "00:00:00:00:00:00\n"
    assert text["/sys/devices/virtual/dmi/id/sys_vendor"] == "ASUS\n"


def test_addresses_fit_together_afterwards() -> None:
    found = redact(private(), "5.168.2.9")
    text = {place: content.decode() for place, content in found.files.items()}
    addresses = interface_addresses(text["/proc/net/fib_trie"], text["/proc/net/route"], text["/proc/net/if_inet6"])
    assert addresses["eth1"] == ("10.0.10.7/24",)  # private addresses stay
    # A /22 is too large for the ranges of RFC 5737; the address keeps its place in it. Both IPv6 addresses have the
    # same identifier, made from the MAC address, and so have both afterwards.
    assert addresses["eth0"] == ("198.18.2.9/22", "2001:db8::1:1/64", "fe80::1:1/64")
    assert text["/.ouchi/session"] == "198.18.2.9\n"


@st.composite
def networks(draw: st.DrawFn) -> list[tuple[str, ipaddress.IPv4Interface]]:
    """Interfaces with addresses, some nested, some global."""
    firsts = st.sampled_from(
        ["5.168.0.0", "10.1.0.0", "192.0.2.0", "198.18.0.0", "81.2.69.0", "203.0.113.0", "8.8.8.0"]
    )
    found = []
    for number in range(draw(st.integers(1, 5))):
        low = draw(st.integers(1, 4000))
        base = int(ipaddress.IPv4Address(draw(firsts)))
        found.append((f"eth{number}", ipaddress.IPv4Interface((base + low, draw(st.integers(15, 30))))))
    return found


@settings(max_examples=150)
@given(networks())
def test_an_address_is_in_a_subnet_exactly_when_it_was_before(found: list[tuple[str, ipaddress.IPv4Interface]]) -> None:
    def word(address: ipaddress.IPv4Address) -> str:
        return int(address).to_bytes(4, "little").hex().upper()

    route = "Iface\tDestination\n" + "".join(
        f"{name}\t{word(it.network.network_address)}\t00000000\t0001\t0\t0\t0\t{word(it.netmask)}\t0\t0\t0\n"
        for name, it in found
    )
    trie = "Local:\n" + "".join(f" |-- {it.ip}\n    /32 host LOCAL\n" for _, it in found)
    before = interface_addresses(trie, route, "")
    files = redact(
        Noted(files={"/proc/net/route": route.encode(), "/proc/net/fib_trie": trie.encode()}), str(found[0][1].ip)
    ).files
    after = interface_addresses(files["/proc/net/fib_trie"].decode(), files["/proc/net/route"].decode(), "")

    def shape(addresses: dict[str, tuple[str, ...]]) -> dict[str, list[str]]:
        return {name: sorted(address.split("/")[1] for address in held) for name, held in addresses.items()}

    assert shape(after) == shape(before)
    moved = {address.split("/")[0] for held in after.values() for address in held}
    assert len(moved) == len({address.split("/")[0] for held in before.values() for address in held})
    assert not any(ipaddress.ip_address(address).is_global for address in moved)
    assert files["/.ouchi/session"].decode().strip() in moved


# What is read


@pytest.mark.parametrize("packed", [bytes, gzip.compress, bz2.compress, lzma.compress], ids=["tar", "gz", "bz2", "xz"])
@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_archives_of_every_kind(packed: Callable[[bytes], bytes], form: int, tmp_path: Path) -> None:
    deep = "sys/" + "a" * 90 + "/" + "b" * 90
    reader = opened(tmp_path, packed(tar((deep, "x"), ("sys/l", f"-> {'c' * 90}"), form=form)), "host.any")
    assert reader.read(f"/{deep}") == "x"
    assert reader.link("/sys/l") == "c" * 90
    if form != tarfile.USTAR_FORMAT:
        long = "sys/" + "d" * 240
        assert (
            opened(tmp_path, packed(tar((long, "y"), ("sys/l", f"-> {'é' * 120}"), form=form))).read(f"/{long}") == "y"
        )


def test_what_tar_itself_makes(tmp_path: Path) -> None:
    root = folder("ryzen-5-3600")
    for name, options in (("a.tar", "cf"), ("b.tar.gz", "czf"), ("c.tar.xz", "cJf")):
        subprocess.run(["tar", options, tmp_path / name, "-C", root, "."], check=True)
        assert collect(open_snapshot(tmp_path / name)) == collect(open_snapshot(root))
    subprocess.run(
        ["tar", "cf", tmp_path / "sys.tar", "-C", "/", "sys/kernel/mm/hugepages", "proc/version"],
        check=False,
        stderr=-3,
    )
    found = open_snapshot(tmp_path / "sys.tar")
    assert found.entries("/sys/kernel/mm/hugepages") == LocalMachine().entries("/sys/kernel/mm/hugepages")
    size = next((name for name in found.entries("/sys/kernel/mm/hugepages")), "")
    assert not size or found.read(f"/sys/kernel/mm/hugepages/{size}/nr_hugepages").strip().isdigit()


def test_zstd_where_python_has_it(tmp_path: Path) -> None:
    if sys.version_info >= (3, 14):
        from compression import zstd

        assert opened(tmp_path, zstd.compress(tar(("sys/a", "x")))).read("/sys/a") == "x"
    else:
        with pytest.raises(BadInput, match=r"zstd -d .*host\.tar"):
            opened(tmp_path, b"\x28\xb5\x2f\xfd" + bytes(100))


def test_what_is_harmless_is_passed_over(tmp_path: Path) -> None:
    reader = opened(
        tmp_path,
        tar(
            ("./sys//a/./b", "one"),
            ("sys/twice", "first"),
            ("sys/twice", "second"),
            ("sys/hard", "=> sys/twice"),
            ("dev/kvm", "<c>"),
            ("dev/pipe", "<p>"),
            ("sys/empty/", "<d>"),
            (b"sys/\xff\xfe", "not UTF-8"),
            ("sys/\x1b[2J", "clears the screen"),
            ("sys/loop", "-> loop"),
            ("sys/round/a", "-> ../round"),
            ("sys/absolute", "-> /sys/twice"),
            ("sys/padded", "7\n\0\0\0\0"),
        ),
    )
    assert reader.entries("/sys") == ["a", "absolute", "empty", "hard", "loop", "padded", "round", "twice"]
    assert [reader.read(f"/sys/{name}") for name in ("a/b", "twice", "hard", "absolute", "padded")] == [
        "one", "second", "second", "second", "7\n",
    ]  # fmt: skip
    assert reader.exists("/dev/kvm")
    assert reader.read("/dev/pipe") == ""
    assert reader.read("/sys/round/a/a/a/../twice") == "second"
    with pytest.raises(OSError, match="too many links") as looped:
        reader.read("/sys/loop")
    assert looped.value.errno == errno.ELOOP
    assert not reader.exists("/sys/loop")
    with pytest.raises(FileNotFoundError):
        reader.read("/sys/a")
    assert reader.read_bytes("/sys/twice", 3) == b"sec"
    assert reader.probe("none") == ""


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (tar(("../etc/passwd", "x")), "host.tar: ../etc/passwd: a name in the snapshot leads outside"),
        (tar(("sys/../../x", "x")), "leads outside"),
        (tar(("sys/a", "x"), ("sys/a/b", "y")), "host.tar: /sys/a: a snapshot cannot hold a file below a file"),
        (tar(("sys/a/b", "y"), ("sys/a", "x")), "a file below a file"),
        (tar(("sys/a", "-> /tmp"), ("sys/a/b", "y")), "a link, and members below it"),
        (tar(("sys/a", "=> /etc/shadow")), "a hard link to /etc/shadow"),
        (tar(("sys/" + "a" * 600, "x")), "a name of 604 bytes"),
        (tar(("sys/a", "-> " + "a" * 600)), "a link of 600 bytes"),
        (tar(("sys/a", b"x" * (4 << 20) + b"y")), "host.tar: /sys/a: a file of the snapshot is too large"),
        (tar(("sys/a", "x" * 600))[:2100], "ends inside this member"),
        (tar()[:1024], "without the mark of its end"),
        (gzip.compress(tar())[:-20], "ends early"),
        (bz2.compress(tar())[:-20], "ends early"),
        (lzma.compress(tar())[:-30], "ends early"),
        (gzip.compress(tar())[:-8] + bytes(8), "incorrect data check"),
        (b"PK\3\4" + bytes(2000), "no header of a member at byte 0"),
        (b"", "ends after 0 bytes"),
        (bytes(10240), "nothing in it"),
        (gzip.compress(b""), "ends after 0 bytes"),
    ],
)  # fmt: skip
def test_bad_archives_are_refused(data: bytes, said: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=re.escape(said)):
        opened(tmp_path, data)


def test_no_host_at_the_top(tmp_path: Path) -> None:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as made:
        made.addfile(tarfile.TarInfo("host/proc/cpuinfo"))
    with pytest.raises(BadInput, match="at the top: host"):
        opened(tmp_path, data.getvalue())
    with pytest.raises(BadInput, match="no such snapshot"):
        open_snapshot(tmp_path / "nowhere.tar.gz")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BadInput, match="no such snapshot"):
        open_snapshot(tmp_path / "pipe")


def test_a_link_out_of_the_archive(tmp_path: Path) -> None:
    reader = opened(tmp_path, tar(("sys/up", "-> ../../etc/hostname")))
    with pytest.raises(BadInput, match=r"host\.tar: /sys/up: a path in the snapshot leads outside"):
        reader.read("/sys/up")


BOMB = """
import resource, sys
from ouchi.errors import BadInput
from ouchi.machine.snapshot import open_snapshot
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    open_snapshot(sys.argv[1])
except BadInput as reason:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, reason)
"""


def zeros(pack: Callable[[bytes], bytes], first: bytes = b"") -> bytes:
    """1 GiB of zeros behind ``first``, compressed in pieces."""
    return pack(first + bytes(1 << 20)) + pack(bytes(1 << 26)) * 16


def header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (lambda: zeros(gzip.compress), "more than 128 MiB once decompressed"),
        (lambda: zeros(gzip.compress, header("sys/zeros", 1 << 30)), "more than 128 MiB once decompressed"),
        (lambda: zeros(bz2.compress), "more than 128 MiB once decompressed"),
        (lambda: zeros(lzma.compress), "more than 128 MiB once decompressed"),
        (lambda: gzip.compress(b"") * 100_000, "more than 10000 compressed streams"),
        (lambda: gzip.compress(header("sys/x", 0) * 110_000), "more than 100000 members"),
        (lambda: gzip.compress(deep()), "more than 100000 folders"),
    ],
    ids=["zeros", "zeros in a member", "bzip2", "xz", "streams", "members", "folders"],
)
def test_bombs_stop_early(data: Callable[[], bytes], said: str, tmp_path: Path) -> None:
    bomb = tmp_path / "host.tar.gz"
    bomb.write_bytes(data())

    def bounds() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
        resource.setrlimit(resource.RLIMIT_CPU, (30, 30))

    done = subprocess.run(
        [sys.executable, "-c", BOMB, bomb],
        capture_output=True,
        text=True,
        preexec_fn=bounds,
        env={**os.environ, "PYTHONPATH": str(Path(archive.__file__).parents[3])},
        check=False,
    )
    assert said in done.stdout, done.stderr[-500:]
    assert int(done.stdout.split()[0]) < 300 * 1024  # KiB
    assert os.listdir(tmp_path) == ["host.tar.gz"]


def deep() -> bytes:
    """Names that are nothing but folders, 250 of their own each."""
    return b"".join(longlink(f"{number}/" + "a/" * 248) + header("x", 0) for number in range(450)) + bytes(1024)


def longlink(name: str) -> bytes:
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, len(name)
    return info.tobuf(tarfile.GNU_FORMAT) + name.encode().ljust(-(-len(name) // 512) * 512, b"\0")


# Anything at all


def ends_well(path: Path) -> None:
    """A snapshot can be asked everything, or is refused."""
    try:
        reader = open_snapshot(path)
        collect(reader)
        for name in reader.entries("/sys/class/net"):
            reader.link(f"/sys/class/net/{name}")
    except BadInput:
        return


MUTATIONS = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=8)


def mutated(data: bytes, changes: Iterable[tuple[float, int]], cut: float) -> bytes:
    found = bytearray(data)
    for where, value in changes:
        found[int(where * len(found))] = value
    return bytes(found[: int(cut * len(found))])


@settings(max_examples=120)
@given(changes=MUTATIONS, cut=st.sampled_from([1.0, 1.0, 0.99, 0.5, 0.01]), unpacked=st.booleans(), aim=st.booleans())
def test_mutated_archives(
    changes: list[tuple[float, int]],
    cut: float,
    unpacked: bool,
    aim: bool,
    good: bytes,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    data = gzip.decompress(good) if unpacked else good
    if unpacked and aim:  # a header with a checksum that fits
        at = int(changes[0][0] * 40) * 512
        block = bytearray(mutated(data[at : at + 512], changes, 1.0))
        block[148:156] = b" " * 8
        block[148:156] = b"%06o\0 " % sum(block)
        data = data[:at] + bytes(block) + data[at + 512 :]
    else:
        data = mutated(data, changes, cut)
    path = tmp_path_factory.getbasetemp() / "mutated.tar.gz"
    path.write_bytes(data)
    ends_well(path)


NAMES = st.text("ab./\0é\n", min_size=0, max_size=12).map(lambda text: f"sys/{text}")
CONTENTS = st.one_of(
    st.text(max_size=20),
    NAMES.map(lambda name: f"-> {name}"),
    st.sampled_from(["-> ..", "-> .", "-> /", "-> a", "-> ../sys/b", "=> proc/cpuinfo", "<d>", "<p>", "<c>"]),
)


@settings(max_examples=150)
@given(members=st.lists(st.tuples(NAMES, CONTENTS), max_size=12), asked=st.lists(NAMES, max_size=6))
def test_trees_of_any_shape(
    members: list[tuple[str, str]], asked: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "shape.tar"
    try:
        data = tar(*members)
    except (ValueError, tarfile.TarError, UnicodeError):  # tarfile itself will not write it
        return
    path.write_bytes(data)
    ends_well(path)
    try:
        reader = open_snapshot(path)
    except BadInput:
        return
    for name in (*asked, *(name for name, _ in members)):
        for ask in (reader.read, reader.exists, reader.entries, reader.link, reader.readlink):
            try:
                ask(f"/{name}")
            except (BadInput, OSError):
                continue


# The commands


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["ouchi", *words])
    return main()


def test_inspect_saves_what_plan_plans(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    saved = str(tmp_path / "host.tar.gz")
    assert run(monkeypatch, "inspect", "--save", saved, "--json") == 0
    said = capsys.readouterr()
    assert "host.tar.gz" in said.err
    assert run(monkeypatch, "inspect", "--snapshot", saved, "--json") == 0
    again = json.loads(capsys.readouterr().out)
    assert again["cpus"] == json.loads(said.out)["cpus"]
    plans = []
    for words in ((), ("--snapshot", saved)):
        assert run(monkeypatch, "plan", "--json", *words) == 0
        plans.append(json.loads(capsys.readouterr().out))
    assert plans[0]["pools"] == plans[1]["pools"]
    (tmp_path / "bad.tar.gz").write_bytes(Path(saved).read_bytes()[:500])
    for command in ("inspect", "plan"):
        assert run(monkeypatch, command, "--snapshot", str(tmp_path / "bad.tar.gz")) == 2
        assert "bad.tar.gz" in capsys.readouterr().err
