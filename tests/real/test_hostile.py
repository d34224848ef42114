"""Every way in is hostile: what users, snapshots, runs, journals and the environment may hold, by command.

Each command ends within its time and memory, with a finding in place of a traceback, writes nothing outside its folder, and
no control character of the input reaches the terminal. Nothing here needs a host that is up.
"""

from __future__ import annotations

import io
import os
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ouchi.facts.nics import BEFORE_BINDING
from tests.hosts import folder as host_folder
from tests.runs import write_run

SOURCE = Path(__file__).resolve().parents[2] / "src"
CPU_SECONDS, MEMORY_MIB = 10, 500
HANG_SECONDS = 60
"""Only a command that waits takes so long, also on a busy machine."""

RANDOM = random.Random(0).randbytes(4096)
ESCAPE = "\x1b]52;c;cm0gLXJm\x07\x1b[31m\x9b31m"
SITE = """name: home
networks: [{name: left, vlan: 101, subnet: 10.101.0.0/24}]
servers: [{name: one, vcpus: 1, memory: 256 MiB, ports: [{network: left}]}]
"""
Prepare = Callable[[Path], None]


@dataclass(frozen=True)
class Input:
    """One hostile input of a class, made in the current folder by ``prepare``, and the command that meets it."""

    kind: str
    name: str
    words: tuple[str, ...]
    prepare: Prepare = lambda _folder: None
    status: tuple[int, ...] = (2, 3)
    environment: dict[str, str] = field(default_factory=dict)
    stdout: str = ""
    """A device in place of a pipe; ``closed`` without any."""
    ordinary: bool = False
    """Run as a user who owns nothing (``nobody``)."""
    inside: str = ""
    """A script that runs before, with a /run, /var/lib, network and processes of its own."""


def text(name: str, content: str | bytes) -> Prepare:
    def prepare(folder: Path) -> None:
        data = content.encode(errors="surrogateescape") if isinstance(content, str) else content
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)

    return prepare


def link(name: str, target: str) -> Prepare:
    return lambda folder: (folder / name).symlink_to(target)


def pipe(name: str) -> Prepare:
    return lambda folder: os.mkfifo(folder / name)


def made(name: str) -> Prepare:
    return lambda folder: (folder / name).mkdir()


def snapshot(path: str, content: str | bytes) -> Prepare:
    """A good host with one file of another content."""

    def prepare(folder: Path) -> None:
        shutil.copytree(host_folder("ryzen-5-3600"), folder / "host", symlinks=True)
        target = folder / "host" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)

    return prepare


def archive(*members: tuple[str, bytes, bytes]) -> Prepare:
    """A tar of name, type and content or target."""

    def prepare(folder: Path) -> None:
        with tarfile.open(folder / "host.tar", "w") as tar:
            for name, kind, content in members:
                member = tarfile.TarInfo(name)
                member.type = kind
                if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
                    member.linkname = content.decode()
                    tar.addfile(member)
                else:
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))

    return prepare


def run_with(change: Callable[[Path], None]) -> Prepare:
    """A good run, changed."""

    def prepare(folder: Path) -> None:
        write_run(folder / "run")
        change(folder / "run")

    return prepare


def replaced(name: str, old: str, new: str) -> Callable[[Path], None]:
    def change(run: Path) -> None:
        content = (run / name).read_text()
        assert re.search(old, content), f"{name} has no {old}"
        (run / name).write_text(re.sub(old, lambda _: new, content))

    return change


NOBODY = 65534


def theirs(prepare: Prepare, *names: str) -> Prepare:
    """What ``prepare`` makes, with these names (all of it without any) another user's."""

    def given(folder: Path) -> None:
        prepare(folder)
        for path in [folder / name for name in names] or [folder, *folder.rglob("*")]:
            os.chown(path, NOBODY, NOBODY, follow_symlinks=False)

    return given


def each(*prepare: Prepare) -> Prepare:
    return lambda folder: [one(folder) for one in prepare] and None


DEEP = "[" * 200_000
SITES = {
    "empty": "",
    "NUL": "name: a\0b\n",
    "latin-1": b"name: \xe9\n",
    "utf-16": "name: home\n".encode("utf-16"),
    "deep": f"name: {DEEP}",
    "bomb": "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\nname: *c\n",
    "python": "name: !!python/object/apply:os.system [id]\n",
    "escapes": f'name: "{ESCAPE}"\n'.replace("\x1b", "\\e").replace("\x07", "\\a").replace("\x9b", "\\x9b"),
    "raw escapes": f"name: {ESCAPE}\n",
    "shell": "name: $(id)\n",
    "path": "name: ../../etc/passwd\n",
    "long": f"name: {'a' * 5_000_000}\n",
    "many hosts": "hosts:\n" + "".join(f"  - {{name: h{number}, address: h{number}}}\n" for number in range(3000)),
    "numbers": SITE.replace("vlan: 101", f"vlan: {'9' * 5000}"),
    "infinity": SITE.replace("vlan: 101", "vlan: .inf"),
    "binary": RANDOM,
}
PLAN = ("plan", "--site", "hostile.yaml", "--snapshot", "host")
SNAPSHOT_FILES = {
    "escape in the model": ("proc/cpuinfo", f"processor: 0\nmodel name : {ESCAPE}\n", ("inspect",), (0, 2)),
    "shell in the version": (".ouchi/ovs-version", "3.1.0\nid > /tmp/x #", ("render", "--to", "ovs"), (0, 2)),
    "huge CPU list": ("sys/devices/system/cpu/online", f"0-{10**18}", ("plan",), (0, 2)),
    "deep JSON": (BEFORE_BINDING.lstrip("/"), DEEP, ("inspect",), (0, 2)),
    "numbers": ("proc/meminfo", f"MemTotal: {'9' * 100_000} kB\n", ("plan",), (0, 2)),
    "binary": ("etc/os-release", RANDOM, ("inspect",), (0, 2)),
    "large": ("proc/cmdline", "a" * 8_000_000, ("inspect",), (0, 2)),
    "control characters in the kernel line": ("proc/cmdline", f"a={ESCAPE}", ("inspect", "--json"), (0, 2)),
}
ARCHIVES: dict[str, tuple[tuple[str, bytes, bytes], ...]] = {
    "outside": (("../../x", tarfile.REGTYPE, b"x"),),
    "absolute": (("/etc/x", tarfile.REGTYPE, b"x"),),
    "link outside": (
        ("sys/a", tarfile.SYMTYPE, b"/etc/shadow"),
        ("proc/cpuinfo", tarfile.SYMTYPE, b"../../../etc/shadow"),
    ),
    "loop": (("sys/a", tarfile.SYMTYPE, b"b"), ("sys/b", tarfile.SYMTYPE, b"a")),
    "device": (("proc/cpuinfo", tarfile.CHRTYPE, b""),),
    "escape in a name": ((f"sys/{ESCAPE}", tarfile.REGTYPE, b"x"),),
    "nothing": (),
}
RUN_FILES = {
    "numbers as strings": replaced("run.json", r'"schema": *\d+', '"schema": "999999999999999999999999999"'),
    "schema of tomorrow": replaced("run.json", r'"schema": *\d+', '"schema": 999999'),
    "deep": lambda run: (run / "results.json").write_text(DEEP),
    "no JSON": lambda run: (run / "results.json").write_text("{"),
    "a list": lambda run: (run / "run.json").write_text("[]"),
    "a pipe": lambda run: ((run / "run.json").unlink(), os.mkfifo(run / "run.json")),
    "a folder": lambda run: ((run / "run.json").unlink(), (run / "run.json").mkdir()),
    "a device": lambda run: ((run / "run.json").unlink(), (run / "run.json").symlink_to("/dev/zero")),
    "not there": lambda run: (run / "run.json").unlink(),
    "infinite": lambda run: (run / "results.json").write_text('{"a": 1e999999}'),
    "huge number": lambda run: (run / "results.json").write_text(f'{{"a": {"9" * 6000}}}'),
}


def pcap(length: int, captured: int, data: bytes = b"") -> bytes:
    return (
        struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1) + struct.pack("<IIII", 0, 0, captured, length) + data
    )


def inputs() -> Iterator[Input]:  # noqa: C901  # a table, class by class
    for name, content in SITES.items():
        yield Input("site", name, ("plan", "--site", "hostile.yaml"), text("hostile.yaml", content))
    for name, prepare in {
        "a device": link("hostile.yaml", "/dev/zero"), "a pipe": pipe("hostile.yaml"), "a folder": made("hostile.yaml"),
        "a loop": link("hostile.yaml", "hostile.yaml"), "dangling": link("hostile.yaml", "nowhere"),
    }.items():  # fmt: skip
        for command in ("plan", "render", "apply", "doctor", "undo"):
            more = {"render": ("--to", "nova"), "apply": ("--dry-run",), "undo": ("--dry-run",)}.get(command, ())
            yield Input("path", f"{name}: {command}", (command, "--site", "hostile.yaml", *more), prepare)
    for name, (path, content, words, status) in SNAPSHOT_FILES.items():
        yield Input("snapshot", name, (*words, "--snapshot", "host"), snapshot(path, content), status)
    for name, pairs in {
        "RDMA connections": "link rxe0/1 " + "type RC state RTS " * 200_000,
        "RDMA users": f"link rxe0/1 type RC state RTS comm {ESCAPE}{' x' * 200_000}\n" * 3,
    }.items():
        parent = text("host/sys/class/infiniband/rxe0/parent", "enp5s0f0\n")
        yield Input(
            "snapshot", name, ("inspect", "--snapshot", "host"), each(snapshot(".ouchi/rdma", pairs), parent), (0, 2)
        )
    for name, members in ARCHIVES.items():
        yield Input("archive", name, ("inspect", "--snapshot", "host.tar"), archive(*members), (0, 2))
    for name, content in {"random": RANDOM, "gzip cut off": b"\x1f\x8b\x08\0", "empty": b""}.items():
        yield Input("archive", name, ("inspect", "--snapshot", "host.tar"), text("host.tar", content), (2,))
    for name, prepare in {"a device": link("host.tar", "/dev/zero"), "a pipe": pipe("host.tar")}.items():
        yield Input("archive", name, ("inspect", "--snapshot", "host.tar"), prepare, (2,))
    for name, change in RUN_FILES.items():
        for words in (("report", "run"), ("bench", "compare", "run", "run")):
            yield Input("run", f"{name}: {words[0]}", words, run_with(change), (2,))
    for name, content in {
        "deep": DEEP,
        "a list": "[]",
        "numbers": '{"schema": 1e400}',
        "binary": RANDOM[:999],
    }.items():
        for command in ("render", "doctor", "apply"):
            words = (command, "--plan", "plan.json", *(("--to", "nova") if command == "render" else ()))
            words += ("--dry-run",) if command == "apply" else ()
            yield Input("saved plan", f"{name}: {command}", words, text("plan.json", content))
    for name, content in {
        "empty": b"", "random": RANDOM, "huge frame": pcap(2**31, 2**31), "cut off": pcap(1500, 1500, b"x"),
        "no frames": pcap(0, 0)[:24],
    }.items():  # fmt: skip
        yield Input("capture", name, ("bench", "--path", "loop", "--dry-run", "--stream", "s.yaml"),
            lambda folder, content=content: (text("a.pcap", content)(folder), text("s.yaml", "capture: a.pcap\n")(folder)),
        )  # fmt: skip
    for name, value in {"escapes": ESCAPE, "long": "x" * 100_000, "path": "/dev/full", "folder": "/"}.items():
        yield Input(
            "environment", f"OUCHI_DEBUG {name}", ("plan", "--site", "no.yaml"), environment={"OUCHI_DEBUG": value}
        )
        yield Input(
            "environment", f"SSH_CONNECTION {name}", ("plan",), environment={"SSH_CONNECTION": value}, status=(0, 2)
        )
        yield Input("environment", f"COLUMNS {name}", ("plan",), environment={"COLUMNS": value}, status=(0, 2))
        yield Input("environment", f"HOME {name}", ("rig", "snapshot", "--list"), environment={"HOME": value, "XDG_STATE_HOME": ""},
            status=(0, 1, 2, 3))  # fmt: skip
    yield Input("environment", "TZ", ("plan",), environment={"TZ": "../../x"}, status=(0, 2))
    yield Input("environment", "LANG", ("plan",), environment={"LC_ALL": "xx_YY.zz"}, status=(0, 2))
    for words in (
        ("plan",),
        ("inspect", "--json"),
        ("schema", "site"),
        ("render", "--to", "nova"),
        ("--help",),
        ("completion", "bash"),
    ):
        yield Input("stream", f"full: {words[0]}", words, text("ouchi.yaml", SITE), stdout="/dev/full", status=(3,))
        yield Input(
            "stream", f"closed: {words[0]}", words, text("ouchi.yaml", SITE), stdout="closed", status=(0, 2, 3, 141)
        )
    for words in (
        ("plan",),
        ("inspect",),
        ("render", "--to", "nova", "-o", "x"),
        ("report", "run"),
        ("undo", "--dry-run"),
    ):
        yield Input("current folder", words[0], words, status=(0, 1, 2, 3))
    for words in (
        ("plan", "--svg", "out/x"),
        ("inspect", "--save", "out/x"),
        ("render", "--to", "nova", "-o", "out/x"),
    ):
        yield Input("output", f"a file for a folder: {words[0]}", words, text("out", "x"))
        yield Input(
            "output",
            f"no such folder: {words[0]}",
            (*words[:-1], "missing/x/y"),
            status=(0, 2, 3),
        )
        yield Input("output", f"full: {words[0]}", (*words[:-1], "out"), link("out", "/dev/full"), status=(2, 3))


def inputs_of_other_users() -> Iterator[Input]:
    """As root, in folders and through links of others; and as a user who owns nothing."""
    outputs = {
        "plan": ("--svg", "out/x"),
        "inspect": ("--save", "out/x"),
        "render": ("--to", "nova", "-o", "out/x"),
        "support-bundle": ("-o", "out/x"),
    }
    for command, words in outputs.items():
        for name, prepare in {
            "a folder": theirs(made("out"), "out"),
            "a link": theirs(each(made("real"), link("out", "real")), "out"),
        }.items():
            yield Input("others' files", f"{name}: {command}", (command, *words), prepare, (2,))
    # In private /run and /var/lib, where nothing is to be undone.
    lock = "/run/ouchi.lock"
    for name, script in {
        "a link": f"ln -s /run/elsewhere {lock}", "a folder": f"mkdir {lock}", "a pipe": f"mkfifo {lock}",
        "another user's": f"install -m 666 -o {NOBODY} /dev/null {lock}",
        "another user's link": f"ln -s /run/elsewhere {lock}; chown -h {NOBODY} {lock}",
        "held": f"printf '\\033]52;c;x\\a' >{lock}; exec 9<{lock}; flock 9; exec 8<&9",
    }.items():  # fmt: skip
        yield Input("lock", name, ("undo",), status=(0, 2, 3), inside=script)
    yield Input("others' files", "a report in a pipe", ("plan", "--svg", "out"), theirs(pipe("out"), "out"), (2,))
    yield Input("others' files", "a site file", ("plan",), theirs(text("ouchi.yaml", SITE)), (0, 2))
    yield Input(
        "others' files",
        "a debug log",
        ("plan",),
        theirs(text("log", ""), "log"),
        (2,),
        environment={"OUCHI_DEBUG": "log"},
    )
    for words in (
        ("plan",), ("plan", "--json"), ("inspect",), ("inspect", "--json"), ("render", "--to", "nova"), ("doctor",),
        ("up", "--dry-run"), ("apply", "--dry-run"), ("undo", "--dry-run"), ("schema", "site"), ("env",), ("version",),
    ):  # fmt: skip
        yield Input("ordinary user", " ".join(words), words, status=(0, 1, 2, 3, 4), ordinary=True)


PROCESS = f"""
import os, socket, time
open("/proc/self/comm", "wb").write({ESCAPE.encode()[:15]!r})
os.setresgid({NOBODY}, {NOBODY}, {NOBODY}); os.setresuid({NOBODY}, {NOBODY}, {NOBODY})
listener = socket.create_server(("127.0.0.1", 290))
print(flush=True); time.sleep(300)
"""
"""A user's process with an unkind name and the marks of a service of ouchi, on the port of that service."""


def inputs_of_other_processes() -> Iterator[Input]:
    script = (
        f"echo 0 >/proc/sys/net/ipv4/ip_unprivileged_port_start; ip link set lo up; "
        f"mkfifo /run/ready; exec 7<<'END'\n{PROCESS}\nEND\n"
        f"OUCHI_INSTANCE=ouchi OUCHI_SERVICE=keystone {sys.executable} -I /dev/fd/7 '{ESCAPE}' >/run/ready & read _ </run/ready"
    )
    for words, status in {
        ("inspect",): (0,), ("status",): (0, 1, 2), ("doctor",): (0, 1, 2, 4), ("up", "--dry-run"): (2,), ("down",): (0, 2),
    }.items():  # fmt: skip
        yield Input("others' processes", words[0], words, status=status, inside=script)


INPUTS = [*inputs(), *inputs_of_other_users(), *inputs_of_other_processes()]


def outcome(one: Input, folder: Path) -> tuple[int, str, float, int]:
    """The exit status, all output, the CPU time in seconds, and the most memory in MiB."""
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(folder.parent), "PYTHONPATH": str(SOURCE), "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1",
        "XDG_STATE_HOME": str(folder.parent / "state"), "XDG_CACHE_HOME": str(folder.parent / "cache"),
    }  # fmt: skip
    measure = (
        "import resource,subprocess,sys; r = subprocess.run(sys.argv[2:], check=False, close_fds=False); "
        "u = resource.getrusage(resource.RUSAGE_CHILDREN); "
        "open(sys.argv[1], 'w').write(f'{r.returncode} {u.ru_utime + u.ru_stime} {u.ru_maxrss}')"
    )
    result = folder.parent / "result"
    words = [sys.executable, "-I", "-c", measure, str(result), sys.executable, "-P", "-m", "ouchi", *one.words]
    if one.stdout == "closed":
        words = ["sh", "-c", 'exec "$@" >&-', "sh", *words]
    if one.kind == "current folder":
        words = ["sh", "-c", 'rmdir "$PWD"; exec "$@"', "sh", *words]
    if one.inside:
        private = (
            f'mount -t tmpfs x /run && mount -t tmpfs x /var/lib && cd {folder} && {{ {one.inside}; }} && exec "$@"'
        )
        spaces = ("--mount", "--propagation", "private", "--net", "--pid", "--fork", "--kill-child", "--mount-proc")
        words = ["unshare", *spaces, "sh", "-c", private, "sh", *words]
    if one.ordinary:
        for path in (folder.parent, folder):
            path.chmod(0o777)
        words = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--", *words]
    target = open(one.stdout, "wb") if one.stdout.startswith("/") else subprocess.PIPE  # noqa: SIM115
    with subprocess.Popen(
        words, cwd=folder, env=environment | one.environment, stdin=subprocess.DEVNULL, stdout=target, stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:  # fmt: skip
        try:
            stdout, stderr = process.communicate(timeout=HANG_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    if target is not subprocess.PIPE:
        target.close()
    status, seconds, kib = result.read_text().split()
    return int(status), ((stdout or b"") + stderr).decode(errors="replace"), float(seconds), int(kib) // 1024


@pytest.mark.parametrize("kind", sorted({one.kind for one in INPUTS}))
def test_inputs(kind: str, tmp_path: Path) -> None:
    """All inputs of a class; what is wrong is listed for all of them at once."""
    wrong, tried = [], 0
    for number, one in enumerate(one for one in INPUTS if one.kind == kind):
        # No other user may look into pytest's folders.
        top = Path(tempfile.mkdtemp(prefix="ouchi-hostile-")) if one.ordinary else tmp_path / str(number)
        folder = top / "here"
        folder.mkdir(parents=True)
        one.prepare(folder)
        before = {path.name for path in top.iterdir()} | {"result", "state", "cache"}
        try:
            status, output, seconds, mib = outcome(one, folder)
        except subprocess.TimeoutExpired:
            wrong.append(f"{one.name}: no end after {HANG_SECONDS} s")
            continue
        tried += 1
        problems = [
            f"status {status}" if status not in one.status else "",
            "a bug or traceback" if "this is a bug" in output or "Traceback" in output else "",
            f"{seconds:.1f} s of CPU time" if seconds > CPU_SECONDS else "",
            f"{mib} MiB" if mib > MEMORY_MIB else "",
            "control characters" if re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", output) else "",
            "no message"
            if status in (2, 3) and not re.search("error|Error|ouchi: ", output) and one.stdout != "closed"
            else "",
            f"wrote {after - before}" if (after := {path.name for path in top.iterdir()}) - before else "",
        ]
        if found := ", ".join(filter(None, problems)):
            wrong.append(f"{one.name} ({' '.join(one.words)}): {found}\n    {output[-400:]!r}")
        shutil.rmtree(top, ignore_errors=True)
    print(f"{kind}: {tried} inputs, {len(wrong)} failures")
    assert not wrong, "\n".join(wrong)
