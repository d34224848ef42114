"""Archives of every kind, damaged ones, and those that mean harm."""

from __future__ import annotations

import bz2
import errno
import gzip
import io
import lzma
import os
import re
import resource
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ouchi.core.errors import BadInput
from ouchi.facts import collect
from ouchi.machine.local import LocalMachine
from ouchi.machine.snapshot import Tree, archive, open_snapshot
from tests.hosts import CASES, folder
from tests.snapshots import saved, tar

SNAPSHOTS = CASES.parent / "snapshots"


def opened(folder: Path, data: bytes, name: str = "host.tar") -> Tree:
    (folder / name).write_bytes(data)
    return open_snapshot(folder / name)


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


def test_what_earlier_versions_saved(tmp_path: Path) -> None:
    """Saved by the version that had a tar reader of its own, which did not look at interrupts and at groups' drivers."""
    old = open_snapshot(SNAPSHOTS / "ouchi-0.1.0.tar.gz")
    assert old.read("/.ouchi/snapshot") == "ouchi 0.1.0\n"
    now = collect(opened(tmp_path, saved("ryzen-5-3600")))
    nics = tuple(replace(nic, group_drivers=("",) * len(nic.group_with)) for nic in now.nics)
    without = replace(now, nics=nics, boot=replace(now.boot, interrupt_remapping=None))
    found = collect(old)
    assert (
        replace(found, nics=tuple(replace(nic, group_drivers=("",) * len(nic.group_with)) for nic in found.nics))
        == without
    )


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
    ("data", "output"),
    [
        (tar(("../etc/passwd", "x")), "host.tar: ../etc/passwd: a name in the snapshot leads outside"),
        (tar(("sys/../../x", "x")), "leads outside"),
        (tar(("sys/a", "x"), ("sys/a/b", "y")), "host.tar: /sys/a: a snapshot cannot hold a file below a file"),
        (tar(("sys/a/b", "y"), ("sys/a", "x")), "a file below a file"),
        (tar(("sys/a", "-> /tmp"), ("sys/a/b", "y")), "a link, and members below it"),
        (tar(("sys/a", "=> /etc/shadow")), "a hard link to /etc/shadow"),
        (tar(("sys/" + "a" * 600, "x")), "a name of 604 characters"),
        (tar(("sys/a", "-> " + "a" * 600)), "a link of 600 characters"),
        (tar(("sys/a", b"x" * (4 << 20) + b"y")), "host.tar: /sys/a: a file of the snapshot is too large"),
        (tar(("sys/a", "x" * 600))[:2100], "ends inside this member"),
        (tar()[:1024], "without the mark of its end"),
        (gzip.compress(tar())[:-20], "ends early"),
        (bz2.compress(tar())[:-20], "ends early"),
        (lzma.compress(tar())[:-30], "ends early"),
        (gzip.compress(tar())[:-8] + bytes(8), "incorrect data check"),
        (b"PK\3\4" + bytes(2000), "no header of a member at byte 0"),
        (b"", "empty file at byte 0"),
        (bytes(10240), "an empty archive"),
        (gzip.compress(b""), "empty file"),
    ],
)  # fmt: skip
def test_bad_archives_are_refused(data: bytes, output: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=re.escape(output)):
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


def pax(records: dict[str, str], content: bytes = b"x" * 600) -> bytes:
    """An archive with a file whose pax header has these records."""
    found = io.BytesIO()
    with tarfile.open(fileobj=found, mode="w", format=tarfile.PAX_FORMAT) as made:
        made.addfile(tarfile.TarInfo("proc/cpuinfo"))
        info = tarfile.TarInfo("sys/a")
        info.size, info.pax_headers = len(content), records
        made.addfile(info, io.BytesIO(content))
    return found.getvalue()


def headers_of_headers(count: int) -> bytes:
    """Pax headers that each describe the next."""
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 12
    return (info.tobuf(tarfile.USTAR_FORMAT) + b"12 path=abc\n".ljust(512, b"\0")) * count + bytes(1024)


@pytest.mark.parametrize(
    "data",
    [
        *(pax({"size": size}) for size in ("-1", "-512", "-1024", "-1536", "-2048", "1000000", "9" * 30, "9" * 5000)),
        pax({"GNU.sparse.map": "0,1"}),
        pax({"GNU.sparse.size": "1", "GNU.sparse.offset": "x"}),
        pax({"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}),
        pax({"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "9"}, b"999999\n" * 80),
        headers_of_headers(5000),
    ],
)
def test_extended_headers_that_mean_harm(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="the snapshot is damaged"):
        opened(tmp_path, data)


BOMB = """
import resource, sys
from ouchi.core.errors import BadInput
from ouchi.machine.snapshot import open_snapshot
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    open_snapshot(sys.argv[1])
except BadInput as reason:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, reason)
"""


def zeros(pack: Callable[[bytes], bytes], first: bytes = b"") -> bytes:
    """1 GiB of zeros behind ``first``, compressed in pieces."""
    return pack(first + bytes(1 << 20)) + pack(bytes(1 << 23)) * 128


def header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize(
    ("data", "output"),
    [
        (lambda: zeros(gzip.compress), "more than 128 MiB once decompressed"),
        (lambda: zeros(gzip.compress, header("sys/zeros", 1 << 30)), "more than 128 MiB once decompressed"),
        (lambda: zeros(bz2.compress), "more than 128 MiB once decompressed"),
        (lambda: zeros(lzma.compress), "more than 128 MiB once decompressed"),
        (lambda: gzip.compress(b"") * 100_000, "more than 1000 compressed streams"),
        (lambda: gzip.compress(header("sys/x", 0) * 1000) * 110, "more than 100000 members"),
        (lambda: gzip.compress(deep()), "more than 100000 folders"),
    ],
    ids=["zeros", "zeros in a member", "bzip2", "xz", "streams", "members", "folders"],
)
def test_bombs_stop_early(data: Callable[[], bytes], output: str, tmp_path: Path) -> None:
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
    assert output in done.stdout, done.stderr[-500:]
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


@given(changes=MUTATIONS, cut=st.sampled_from([1.0, 1.0, 0.99, 0.5, 0.01]), unpacked=st.booleans(), aim=st.booleans())
def test_mutated_archives(
    changes: list[tuple[float, int]],
    cut: float,
    unpacked: bool,
    aim: bool,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    data = gzip.decompress(saved("ryzen-5-3600")) if unpacked else saved("ryzen-5-3600")
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


@given(members=st.lists(st.tuples(NAMES, CONTENTS), max_size=12), requested=st.lists(NAMES, max_size=6))
def test_trees_of_any_shape(
    members: list[tuple[str, str]], requested: list[str], tmp_path_factory: pytest.TempPathFactory
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
    for name in (*requested, *(name for name, _ in members)):
        for ask in (reader.read, reader.exists, reader.entries, reader.link, reader.readlink):
            try:
                ask(f"/{name}")
            except (BadInput, OSError):
                continue
