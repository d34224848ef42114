"""One ssh connection to a host, over which any number of programs run in parallel.

OpenSSH multiplexes them (ControlMaster): a master process logs in once, and each program is a session over its
connection. The master reads from a pipe of ouchi's, so it ends when ouchi does, however that ends, and every session
with it: the remote side sees the end of its standard input (see ``sh/watched.sh``).

When this machine loses its power or network, nothing ends here, and the remote side would keep locks for hours. So a
heartbeat is sent at intervals; when it stops, the remote side closes the connection.
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

from ouchi.core.errors import BadInput, Interrupted
from ouchi.machine.logged import logged
from ouchi.machine.sh import script
from ouchi.machine.ssh.address import Address
from ouchi.machine.ssh.sessions import Session
from ouchi.machine.ssh.unreachable import lost, no_root, unreachable

CONNECT_SECONDS = 10
LOGIN_SECONDS = 30.0
"""How long connecting and logging in may take together; an sshd that waits for a DNS timeout takes long."""

SERVER_ALIVE = 5, 3
"""ServerAliveInterval in seconds, and ServerAliveCountMax."""

HEARTBEAT_SECONDS = 20.0, 60.0
"""The interval of the heartbeat, and after how long without one the remote side closes the connection."""

GRACE = 5.0
"""Seconds by which time limits are longer on the remote side, which applies them only when the connection is gone."""

_OPTIONS = (
    "BatchMode=yes",
    f"ConnectTimeout={CONNECT_SECONDS}",
    f"ServerAliveInterval={SERVER_ALIVE[0]}",
    f"ServerAliveCountMax={SERVER_ALIVE[1]}",
    "LogLevel=ERROR",
    # Settings of the user's configuration for interactive logins that would get in the way.
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
# A process of its own sends the heartbeat, since ouchi may be stopped for a while (Ctrl-Z) with its locks held. It ends
# when ouchi does, as its standard input does. The folder of the control socket is removed when the master ends.
_MASTER = (
    "folder=$1 every=$2; shift 2; "
    '{ while timeout --foreground "$every" cat <&3 >/dev/null; [ $? = 124 ]; do printf .; done & } 3<&0 | "$@"; '
    'status=$?; rm -rf -- "$folder"; exit $status'
)
_HELLO = (
    'said=root; [ "$(id -u)" = 0 ] || said=$(sudo -n timeout 9 true 2>&1) && said=root; '
    'printf "%s %s %s %s\\n" "$1" "$(id -u)" "${SSH_CONNECTION:-- - - -}" "$(echo "$said" | tr "\\n" " ")"; '
    'while output=$(timeout "$2" head -c 1); do [ "$output" ] || exit 0; done; kill "$PPID"'
)
_LOADER = 'eval "$(head -c "$1")"'
_SBIN = "/usr/local/sbin:/usr/sbin:/sbin"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LONGEST_FOLDER = 64  # bytes; a socket's path may have 107, of which ssh needs 17 for a temporary name
_POLL_SECONDS = 0.2  # how often to check whether the login was given up
_MOST_OUTPUT = 64 * 1024  # bytes of the output of a login
_SSH_FAILED = 255  # ssh's exit status for its own failures


@dataclass(frozen=True, slots=True)
class Login:
    """A login: the user ID, sudo's message where it refuses root, and the host's address that the session came in on."""

    user_id: int
    refusal: str
    session: str


class Connection:
    """The connection to a host. It is made once, when it is first needed, and not made again when it is lost."""

    def __init__(self, address: Address, config_file: str = "") -> None:
        self.address = address
        self._config = ("-F", config_file) if config_file else ()
        self._lock = threading.Lock()
        self._folder = ""
        self._master: subprocess.Popen[bytes] | None = None
        self._login: Login | None = None
        self._errors = -1
        self._failure = ""
        self._given_up = threading.Event()

    def login(self) -> Login:
        """Connect unless connected.

        Raises :class:`~ouchi.machine.ssh.unreachable.Unreachable`, or :class:`~ouchi.core.errors.Interrupted` when it was
        given up.
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
        """Start a program there as root, or as the user where root is not available and not required (``root``).

        It ends with its session, unless ``keep``, and at the latest after ``seconds`` (0: no limit).
        """
        login = self.login()
        if self._master is None or self._master.poll() is not None:
            raise lost(self.address, " ".join(argv), self._messages())
        if root and login.refusal:
            raise no_root(self.address, login.user_id, login.refusal)
        sudo = ("sudo", "-n", "--") if login.user_id and not login.refusal else ()
        mark = f"ouchi-{secrets.token_hex(16)}"
        words = (str(len(input)), mark, "keep" if keep else "watch", folder, *argv)
        text = os.fsencode(f"{_exports(env or {})}\nset -- {shlex.join(words)}\n{script('watched')}")
        if b"\0" in text:
            raise ValueError("embedded null byte")
        # The command line has only the length of what follows: arguments may be secret, or long.
        most = f"{seconds + GRACE if seconds else 0:g}"
        loader = ("exec", *sudo, "timeout", "--signal=KILL", most, "sh", "-c", _LOADER, "sh", str(len(text)))
        # A session must never make a connection of its own: locks of a lost connection would not be held.
        command = self._ssh("ControlMaster=no", "ProxyCommand=false", remote=shlex.join(loader))
        return Session(command, text + input, mark)

    def check(self, command: str, messages: str) -> None:
        """Raise :class:`~ouchi.machine.ssh.unreachable.ConnectionLost` when the connection is gone."""
        master = self._master
        if master is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                master.wait(1.0)  # sessions end a moment before the master
        if master is None or master.poll() is not None:
            raise lost(self.address, command, f"{messages}\n{self._messages()}")

    def give_up(self) -> None:
        """Stop waiting for a login; an existing connection is not touched."""
        self._given_up.set()

    def close(self) -> None:
        """Close the connection and end all that runs over it. It may be closed already, or never have been made."""
        with self._lock:
            self._end()

    def _connect(self) -> Login:
        if self._failure:
            raise unreachable(self.address, self._failure, self._config)
        if self._given_up.is_set():
            raise Interrupted.of("interrupted")
        if not shutil.which("ssh"):
            raise BadInput.of(
                "ssh is not installed on this machine",
                expected="the OpenSSH client",
                remedy="apt install openssh-client",
            )
        self._folder = _private_folder()
        mark = f"ouchi-{secrets.token_hex(16)}"
        every, silent = HEARTBEAT_SECONDS
        hello = shlex.join(("exec", "sh", "-c", _HELLO, "sh", mark, f"{silent:g}"))
        with open(f"{self._folder}/messages", "ab+", buffering=0) as errors:
            self._errors = os.dup(errors.fileno())
            self._master = subprocess.Popen(
                ("sh", "-c", _MASTER, "sh", self._folder, f"{every:g}", *self._ssh("ControlMaster=yes", remote=hello)),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,  # Ctrl-C reaches ouchi alone, which ends the sessions in order
            )
        output = _read_hello(self._master, mark, self._given_up)
        if (login := _login_of(output, mark)) is None:
            self._failure = "\n".join(filter(None, (output, self._messages(), _how_it_ended(self._master))))
            self._end()
            if self._given_up.is_set():
                raise Interrupted.of("interrupted")
            raise unreachable(self.address, self._failure, self._config)
        return login

    def _ssh(self, *options: str, remote: str) -> tuple[str, ...]:
        settings = [word for option in (*options, *_OPTIONS) for word in ("-o", option)]
        user = ("-l", self.address.user) if self.address.user else ()
        port = ("-p", str(self.address.port)) if self.address.port else ()
        socket = f"{self._folder}/s".replace("%", "%%")  # ssh expands %h and others
        folder = ("-S", socket, *user, *port, "--", self.address.host)
        return ("ssh", "-T", *self._config, *settings, *folder, remote)

    def _messages(self) -> str:
        """The master's output on its standard error."""
        return os.pread(self._errors, _MOST_OUTPUT, 0).decode(errors="replace") if self._errors >= 0 else ""

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
    settings = (f"{name}={shlex.quote(value)}" for name, value in env.items())
    # Not every login has the sbin folders in its PATH.
    return "; ".join(f"export {each}" for each in ("LC_ALL=C.UTF-8", f"PATH=$PATH:{_SBIN}", *settings))


def _read_hello(master: subprocess.Popen[bytes], mark: str, given_up: threading.Event) -> str:
    """The output of the login up to the line with the mark, or until that cannot come any more."""
    output, deadline = b"", time.monotonic() + LOGIN_SECONDS
    stream = master.stdout
    while stream and time.monotonic() < deadline and not given_up.is_set() and len(output) < _MOST_OUTPUT:
        if not select.select([stream], [], [], _POLL_SECONDS)[0]:
            continue
        piece = os.read(stream.fileno(), 4096)
        output += piece
        if not piece or re.search(rf"{mark} .*\n".encode(), output):
            break
    return output.decode(errors="replace")


def _login_of(output: str, mark: str) -> Login | None:
    """The login by the line with the mark, None without one; the output of the login shell before it is skipped."""
    found = re.search(rf"{mark} ([0-9]+) (\S+) \S+ (\S+) \S+ (.*)\n", output)
    if not found:
        return None
    refusal = found[4].strip()
    return Login(
        int(found[1]), "" if refusal == "root" else refusal or "it failed", "" if found[3] == "-" else found[3]
    )


def _how_it_ended(master: subprocess.Popen[bytes]) -> str:
    """The reason of a failed login that ssh itself does not name."""
    try:
        status = master.wait(1.0)
    except subprocess.TimeoutExpired:
        return f"no answer within {LOGIN_SECONDS:g} s"
    return "" if status == _SSH_FAILED else f"the login shell ended at once with exit status {status}"


def _private_folder() -> str:
    """A new folder for this user alone, with a path that is short enough for a socket."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    for folder in (runtime, tempfile.gettempdir(), "/tmp"):  # noqa: S108  # mkdtemp makes a private folder there
        if folder and len(os.fsencode(folder)) < _LONGEST_FOLDER and os.access(folder, os.W_OK | os.X_OK):
            return tempfile.mkdtemp(prefix="ouchi-", dir=folder)
    raise BadInput.of(
        "there is no folder for the control socket of ssh",
        expected="a writable folder for temporary files with a short path",
        remedy="name one: TMPDIR=FOLDER ouchi …",
    )
