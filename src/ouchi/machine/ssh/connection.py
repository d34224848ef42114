"""One ssh connection to a host, over which any number of programs run side by side.

The system's ssh multiplexes them: its master logs in once and holds the connection, each program is a session of it.
The master lives at the end of a pipe of ours, so it ends when we do, however we end, and every session with it: the
other side sees the end of its standard input (see ``sh/watched.sh``).

When this computer loses its power or its network nothing ends, so the other side would hold what it holds for hours.
Every so often a beat is sent; when none comes any more, the login there ends the connection.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import select
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ouchi.core.errors import BadInput, Interrupted, error
from ouchi.machine.logged import logged
from ouchi.machine.sh import script
from ouchi.machine.ssh.address import Address
from ouchi.machine.ssh.sessions import Session
from ouchi.machine.ssh.unreachable import lost, no_root, unreachable

CONNECT_SECONDS = 10
LOGIN_SECONDS = 30.0
"""How long connecting and logging in may take together; a server that looks names up in vain takes long."""

SILENT_SECONDS = 5, 3
"""A question after so many seconds of silence; so many of them without an answer are the end of the connection."""

BEAT_SECONDS = 20.0, 60.0
"""How often the other side is told that we are there, and after how long without a word it ends the connection."""

GRACE = 5.0
"""Seconds that the other side has longer than we do: only when the connection is gone it must end things itself."""

_OPTIONS = (
    "BatchMode=yes",
    f"ConnectTimeout={CONNECT_SECONDS}",
    f"ServerAliveInterval={SILENT_SECONDS[0]}",
    f"ServerAliveCountMax={SILENT_SECONDS[1]}",
    "LogLevel=ERROR",
    # What a user's configuration may ask of a login shell is no help here, or in the way of a second session.
    "ClearAllForwardings=yes",
    "ForwardAgent=no",
    "ForwardX11=no",
    "PermitLocalCommand=no",
    "RemoteCommand=none",
    "RequestTTY=no",
    "EscapeChar=none",
    "StdinNull=no",
    "SessionType=default",
    "ForkAfterAuthentication=no",
    "ControlPersist=no",
)
# The beats are not ours to send: we may be stopped for a while (Ctrl-Z), with all that we hold. They end with us, as
# our standard input to them does. The folder of the control socket goes when the master does, however that comes.
_TIDILY = (
    "folder=$1 every=$2; shift 2; "
    '{ while timeout --foreground "$every" cat <&3 >/dev/null; [ $? = 124 ]; do printf .; done & } 3<&0 | "$@"; '
    'status=$?; rm -rf -- "$folder"; exit $status'
)
_HELLO = (
    'said=root; [ "$(id -u)" = 0 ] || said=$(sudo -n timeout 9 true 2>&1) && said=root; '
    'printf "%s %s %s %s\\n" "$1" "$(id -u)" "${SSH_CONNECTION:-- - - -}" "$(echo "$said" | tr "\\n" " ")"; '
    'while heard=$(timeout "$2" head -c 1); do [ "$heard" ] || exit 0; done; kill "$PPID"'
)
_LOADER = 'eval "$(head -c "$1")"'
_SBIN = "/usr/local/sbin:/usr/sbin:/sbin"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LONGEST_PLACE = 64  # bytes; a socket's path has 107, of which ssh takes 17 for a name while it makes it
_TURN = 0.2  # seconds between two looks at whether to go on waiting
_MOST_SAID = 64 * 1024  # bytes of what a login says
_SSH_FAILED = 255  # ssh's exit status for its own failures


@dataclass(frozen=True, slots=True)
class Login:
    """Who we are on the other side: the user id, sudo's words when it does not let us be root, and the address of the
    host that our session came in on, as its sshd says."""

    user_id: int
    refusal: str
    session: str


class Connection:
    """A host by ssh. It is made when it is first needed, once; when it is lost it stays so."""

    def __init__(self, address: Address, config_file: str = "") -> None:
        self.address = address
        self.sessions = 0
        """How many programs were run: each is a round trip, and so is logging in."""
        self._config = ("-F", config_file) if config_file else ()
        self._lock = threading.Lock()
        self._folder = ""
        self._master: subprocess.Popen[bytes] | None = None
        self._login: Login | None = None
        self._errors = -1
        self._said = ""
        self._given_up = threading.Event()

    def login(self) -> Login:
        """Connect, unless we are. Raises :class:`~ouchi.machine.ssh.unreachable.Unreachable`, or
        :class:`~ouchi.core.errors.Interrupted` when it was given up.
        """
        with self._lock:
            if self._login is None:
                with logged(str(self.address), "connect", ("ssh", *self._config, self.address)):
                    self._login = self._connect()
            return self._login

    def start(
        self,
        argv: Sequence[str],
        *,
        root: bool,
        seconds: float,
        input: bytes = b"",
        env: Mapping[str, str] | None = None,
        folder: str = "",
        keep: bool = False,
    ) -> Session:
        """Start a program there, as root, or as the user himself where he cannot be root and need not be (``root``).

        It ends when its session does, unless it is to be kept, and by itself after ``seconds`` (0: never).
        """
        login = self.login()
        if self._master is None or self._master.poll() is not None:
            raise lost(self.address, " ".join(argv), self._words())
        if root and login.refusal:
            raise no_root(self.address, login.user_id, login.refusal)
        sudo = ("sudo", "-n", "--") if login.user_id and not login.refusal else ()
        mark = f"ouchi-{secrets.token_hex(16)}"
        words = (str(len(input)), mark, "keep" if keep else "watch", folder, *argv)
        text = os.fsencode(f"{_exports(env or {})}\nset -- {shlex.join(words)}\n{script('watched')}")
        if b"\0" in text:
            raise ValueError("embedded null byte")
        # Only the length of what follows is on the command line: what is run may hold secrets, and be long.
        most = f"{seconds + GRACE if seconds else 0:g}"
        loader = ("exec", *sudo, "timeout", "--signal=KILL", most, "sh", "-c", _LOADER, "sh", str(len(text)))
        # A session is never a connection of its own: what a lost one held, it would not hold.
        command = self._ssh("ControlMaster=no", "ProxyCommand=false", remote=shlex.join(loader))
        self.sessions += 1
        return Session(command, text + input, mark)

    def check(self, doing: str, said: str) -> None:
        """Raise :class:`~ouchi.machine.ssh.unreachable.ConnectionLost` when the connection is gone."""
        master = self._master
        if master is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                master.wait(1.0)  # its sessions end a moment before it
        if master is None or master.poll() is not None:
            raise lost(self.address, doing, f"{said}\n{self._words()}")

    def give_up(self) -> None:
        """Do not wait for a login any longer; a connection that stands is not touched."""
        self._given_up.set()

    def close(self) -> None:
        """End the connection and all that runs over it. Closed already, or never made, is fine."""
        with self._lock:
            self._end()

    def _connect(self) -> Login:
        if self._said:
            raise unreachable(self.address, self._said, self._config)
        if self._given_up.is_set():
            raise Interrupted(error("interrupted"))
        if not shutil.which("ssh"):
            raise BadInput(
                error(
                    "there is no ssh on this machine", expected="OpenSSH's client", remedy="apt install openssh-client"
                )
            )
        self._folder = _private_folder()
        mark = f"ouchi-{secrets.token_hex(16)}"
        every, silent = BEAT_SECONDS
        hello = shlex.join(("exec", "sh", "-c", _HELLO, "sh", mark, f"{silent:g}"))
        with open(f"{self._folder}/said", "ab+", buffering=0) as errors:
            self._errors = os.dup(errors.fileno())
            self._master = subprocess.Popen(
                ("sh", "-c", _TIDILY, "sh", self._folder, f"{every:g}", *self._ssh("ControlMaster=yes", remote=hello)),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,  # Ctrl-C is ours: what runs there is ended in order
            )
        self.sessions += 1
        heard = _read_hello(self._master, mark, self._given_up)
        if (login := _login_of(heard, mark)) is None:
            self._said = "\n".join(filter(None, (heard, self._words(), _how_it_ended(self._master))))
            self._end()
            if self._given_up.is_set():
                raise Interrupted(error("interrupted"))
            raise unreachable(self.address, self._said, self._config)
        return login

    def _ssh(self, *options: str, remote: str) -> tuple[str, ...]:
        said = [word for option in (*options, *_OPTIONS) for word in ("-o", option)]
        user = ("-l", self.address.user) if self.address.user else ()
        port = ("-p", str(self.address.port)) if self.address.port else ()
        socket = f"{self._folder}/s".replace("%", "%%")  # ssh has meanings for %h and its like
        place = ("-S", socket, *user, *port, "--", self.address.host)
        return ("ssh", "-T", *self._config, *said, *place, remote)

    def _words(self) -> str:
        """What the master said on its standard error."""
        return os.pread(self._errors, _MOST_SAID, 0).decode(errors="replace") if self._errors >= 0 else ""

    def _end(self) -> None:
        master, self._master = self._master, None
        if master is None:
            return
        for stream in (master.stdin, master.stdout):
            if stream:
                stream.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            master.wait(1.0)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(master.pid, signal.SIGKILL)
        master.wait()
        os.close(self._errors)
        self._errors = -1
        shutil.rmtree(self._folder, ignore_errors=True)


def _exports(env: Mapping[str, str]) -> str:
    for name in env:
        if not _NAME.fullmatch(name):
            raise ValueError(f"not the name of a variable: {name!r}")
    said = (f"{name}={shlex.quote(value)}" for name, value in env.items())
    # Not every login has the folders of the administrator's programs.
    return "; ".join(f"export {each}" for each in ("LC_ALL=C.UTF-8", f"PATH=$PATH:{_SBIN}", *said))


def _read_hello(master: subprocess.Popen[bytes], mark: str, given_up: threading.Event) -> str:
    """What the other side says up to the line that it is to begin with, or until that cannot come any more."""
    said, deadline = b"", time.monotonic() + LOGIN_SECONDS
    stream = master.stdout
    while stream and time.monotonic() < deadline and not given_up.is_set() and len(said) < _MOST_SAID:
        if not select.select([stream], [], [], _TURN)[0]:
            continue
        piece = os.read(stream.fileno(), 4096)
        said += piece
        if not piece or re.search(rf"{mark} .*\n".encode(), said):
            break
    return said.decode(errors="replace")


def _login_of(heard: str, mark: str) -> Login | None:
    """The line with the mark; None when it did not come. What a login shell says before is skipped."""
    found = re.search(rf"{mark} ([0-9]+) (\S+) \S+ (\S+) \S+ (.*)\n", heard)
    if not found:
        return None
    refusal = found[4].strip()
    return Login(
        int(found[1]), "" if refusal == "root" else refusal or "it failed", "" if found[3] == "-" else found[3]
    )


def _how_it_ended(master: subprocess.Popen[bytes]) -> str:
    """Of a login that came to nothing, what ssh itself does not say."""
    try:
        status = master.wait(1.0)
    except subprocess.TimeoutExpired:
        return f"no answer within {LOGIN_SECONDS:g} s"
    return "" if status == _SSH_FAILED else f"the login there ended at once, with exit status {status}"


def _private_folder() -> str:
    """A new folder of ours alone with a path short enough for a socket in it."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    for place in (runtime, tempfile.gettempdir(), "/tmp"):  # noqa: S108  # mkdtemp makes a folder of our own there
        if place and len(os.fsencode(place)) < _LONGEST_PLACE and os.access(place, os.W_OK | os.X_OK):
            return tempfile.mkdtemp(prefix="ouchi-", dir=place)
    raise BadInput(
        error(
            "there is no place for the socket of an ssh connection",
            expected="a folder for temporary files that we may write to, with a short name",
            remedy="name one: TMPDIR=FOLDER ouchi …",
        )
    )
