"""This machine."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import shutil
import signal
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path as RealPath
from typing import BinaryIO

from ouchi.core import log as command_log
from ouchi.core.errors import BadInput, Interrupted
from ouchi.core.log import LOCAL
from ouchi.machine import CommandFailed, Path, Result, probes
from ouchi.machine.background import Background
from ouchi.machine.lock import exclusive_lock
from ouchi.machine.logged import Entry, logged
from ouchi.machine.owners import require_own

TIED = ("setpriv", "--pdeathsig", "KILL", "--")
"""Has the kernel kill a program when the thread that waits for it ends, so that none is left when ouchi is killed."""

NOT_FOUND = 127
"""The exit status that shells give for a program that cannot be started."""

_OUTPUT_SECONDS = 1.0  # seconds

_KINDS = {stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFLNK: "link"}


class LocalMachine:
    """This machine, in the namespaces of this process."""

    def __init__(self) -> None:
        self._children: set[subprocess.Popen[bytes]] = set()
        self._interrupted = False

    def interrupt(self) -> None:
        self._interrupted = True
        for child in tuple(self._children):
            _end(child)

    def absolute(self, path: Path) -> str:
        """The absolute path; a relative one starts at the current folder."""
        try:
            return str(RealPath(path).absolute())
        except FileNotFoundError:
            raise BadInput.of(
                "the current folder was removed",
                where=str(path),
                expected="a current folder that exists, or an absolute path",
                remedy="cd to another folder, then the same command again",
            ) from None

    def read(self, path: Path) -> str:
        with _open_regular(path) as file, io.TextIOWrapper(file, encoding="utf-8", errors="replace") as text:
            return text.read()

    def read_bytes(self, path: Path, most: int = -1) -> bytes:
        with _open_regular(path) as file:
            return file.read(most)

    def probe(self, name: str) -> str:
        return probes.local_probe(self.run, name)

    def exists(self, path: Path) -> bool:
        return RealPath(path).exists()

    def entries(self, path: Path) -> list[str]:
        try:
            return sorted(os.listdir(path))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def link(self, path: Path) -> str:
        try:
            return os.path.basename(os.readlink(path))
        except OSError:
            return ""

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout: float = 60.0,
        check: bool = True,
        input: str | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        outlive: bool = False,
    ) -> Result:
        argv = tuple(str(word) for word in argv)
        if self._interrupted:
            raise Interrupted.of("interrupted")
        data = input.encode() if input is not None else None
        with logged(LOCAL, "run", argv, env=env or (), input=len(data or b"")) as entry:
            child = self._spawn(argv, data is not None, env, cwd, tied=not outlive)
            result = self._wait(child, argv, data, timeout, entry)
            entry.status = result.status
        if check and not result.ok:
            raise CommandFailed(result)
        return result

    def lines(self, argv: Sequence[str]) -> Iterator[str]:
        """Yield a program's lines of output as they come; the program ends with the iteration. Its errors are the user's."""
        with (
            logged(LOCAL, "run", argv),
            subprocess.Popen(
                (*TIED, *argv), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=_environment(None)
            ) as child,
        ):
            try:
                assert child.stdout  # noqa: S101  # a pipe
                for line in child.stdout:
                    yield _text(line).removesuffix("\n")
            finally:
                child.kill()

    def _spawn(
        self, argv: tuple[str, ...], has_input: bool, env: Mapping[str, str] | None, cwd: Path | None, *, tied: bool
    ) -> subprocess.Popen[bytes]:
        environment = _environment(env)
        if not shutil.which(argv[0], path=environment.get("PATH")):
            raise CommandFailed(Result(argv, NOT_FOUND, "", ""), "there is no such program")
        try:
            # In a session of its own: Ctrl-C reaches ouchi alone, which then kills the whole process group.
            return subprocess.Popen(
                (*TIED, *argv) if tied else argv,
                stdin=subprocess.PIPE if has_input else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment,
                cwd=cwd,
                start_new_session=True,
            )
        except OSError as reason:
            raise CommandFailed(Result(argv, NOT_FOUND, "", str(reason)), str(reason)) from None

    def _wait(
        self, child: subprocess.Popen[bytes], argv: tuple[str, ...], data: bytes | None, timeout: float, entry: Entry
    ) -> Result:
        self._children.add(child)
        try:
            out, err = child.communicate(data, timeout=timeout)
        except subprocess.TimeoutExpired:
            _end(child)
            out, err = _rest(child)
            entry.note = f"killed after {timeout:g} s"
            result = Result(argv, -signal.SIGKILL, _text(out), _text(err))
            raise CommandFailed(result, f"did not end within {timeout:g} s: {_text(err)[-300:]}") from None
        except BaseException:
            _end(child)
            raise
        finally:
            self._children.discard(child)
        return Result(argv, child.returncode, _text(out), _text(err))

    def start(self, argv: Sequence[str], *, log: Path, env: Mapping[str, str] | None = None) -> Background:
        argv = tuple(str(word) for word in argv)
        with logged(LOCAL, "start", argv, env=env or ()) as entry:
            try:
                with open(log, "wb") as output:
                    child = subprocess.Popen(
                        argv,
                        stdin=subprocess.DEVNULL,
                        stdout=output,
                        stderr=output,
                        env=_environment(env),
                        start_new_session=True,
                    )
            except OSError as reason:
                raise CommandFailed(Result(argv, NOT_FOUND, "", str(reason)), str(reason)) from None
            entry.note = f"process {child.pid}"
        return Background(child, log, argv[0])

    def write(self, path: Path, content: str | bytes, *, mode: int = 0o644, owner: str | None = None) -> None:
        data = content.encode() if isinstance(content, str) else content
        with logged(LOCAL, "write", (path, f"{len(data)} bytes")):
            handle, temporary = tempfile.mkstemp(dir=RealPath(path).parent, prefix=".ouchi-")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fchmod(file.fileno(), mode)
                    os.fsync(file.fileno())
                if owner:
                    shutil.chown(temporary, owner, owner)
                os.replace(temporary, path)
                _sync_folder(RealPath(path).parent)
            except BaseException:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(temporary)
                raise

    def write_output(self, path: Path, text: str) -> None:
        """Write a file that the user named: a device, a pipe or what a link leads to in place, else by :meth:`write`.

        Raises :class:`OSError`; also for a block device, whose contents it would destroy. Raises
        :class:`~ouchi.core.errors.BadInput` for root in another user's folder (:mod:`ouchi.machine.owners`).
        """
        require_own(path)
        if self.kind(path) in ("", "file"):
            self.write(path, text)
            return
        with logged(LOCAL, "write", (path, f"{len(text.encode())} bytes")), open(path, "ab") as file:
            mode = os.fstat(file.fileno()).st_mode
            if stat.S_ISBLK(mode):
                raise OSError(errno.ENOTSUP, "it is a block device", str(path))
            if stat.S_ISREG(mode):
                file.truncate(0)
            file.write(text.encode())

    def append(self, path: Path, text: str) -> None:
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        with os.fdopen(handle, "ab") as file:
            file.write(text.encode())

    def poke(self, path: Path, text: str) -> None:
        with logged(LOCAL, "poke", (path, text)), open(path, "w", encoding="ascii") as file:
            file.write(text)

    def mode(self, path: Path) -> int:
        return stat.S_IMODE(os.stat(path).st_mode)

    def kind(self, path: Path) -> str:
        try:
            mode = os.lstat(path).st_mode
        except (FileNotFoundError, NotADirectoryError):
            return ""
        return _KINDS.get(stat.S_IFMT(mode), "other")

    def hold(self, path: Path, command: str) -> AbstractContextManager[None]:
        return exclusive_lock(str(path), command)

    def make_folder(self, path: Path, *, mode: int = 0o755, owner: str | None = None) -> bool:
        folder = RealPath(path)
        missing = [one for one in (folder, *folder.parents) if not one.is_dir()]
        created = bool(missing)
        folder.mkdir(parents=True, exist_ok=True)
        if created:
            command_log.write(LOCAL, "folder", (path,))
        for one in missing:
            _sync_folder(one.parent)
        if stat.S_IMODE(folder.stat().st_mode) != mode:
            folder.chmod(mode)
        if owner and folder.owner() != owner:
            shutil.chown(folder, owner, owner)
        return created

    def remove(self, path: Path) -> None:
        target = RealPath(path)
        with logged(LOCAL, "remove", (path,)):
            if target.is_dir() and not target.is_symlink():
                shutil.rmtree(target)
            else:
                target.unlink(missing_ok=True)


def _open_regular(path: Path) -> BinaryIO:
    """Open a file; a pipe would wait for its writer, and a device may have no end. Raises :class:`OSError` for both."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        mode = os.fstat(handle).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "it is a device, pipe or socket, not a regular file", str(path))
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def _environment(env: Mapping[str, str] | None) -> dict[str, str]:
    return {**os.environ, "LC_ALL": "C.UTF-8", **(env or {})}


def _text(data: bytes | None) -> str:
    return (data or b"").decode("utf-8", errors="replace")


def _rest(child: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
    """The output of a killed program. A daemon that left its process group may keep the pipes open for ever."""
    try:
        return child.communicate(timeout=_OUTPUT_SECONDS)
    except subprocess.TimeoutExpired as late:
        child.wait()
        for stream in (child.stdout, child.stderr):
            if stream:
                stream.close()
        return late.output or b"", late.stderr or b""


def _end(child: subprocess.Popen[bytes]) -> None:
    """Kill a program's process group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)


def _sync_folder(folder: RealPath) -> None:
    """Bring a folder's entries to the disk: a renamed file is else not there after a power cut."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except PermissionError:  # one that its user may write to and not list
        return
    try:
        os.fsync(handle)
    except OSError as reason:
        if reason.errno != errno.EINVAL:  # file systems that cannot, as some in user space
            raise
    finally:
        os.close(handle)
