"""A real sshd on loopback for one test: keys, configuration and port of its own, gone when the test is, however.

Nothing of the user's is read: clients get a configuration file with every setting that matters.
"""

from __future__ import annotations

import contextlib
import secrets
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from tests.real import installed

SOURCE = Path(__file__).resolve().parents[2] / "src"
SSHD = "/usr/sbin/sshd"
USER = "ouchi-tester"
"""A user who is not root, known to this sshd alone; SUDOER is another, whom sudo lets be root."""
SUDOER = "ouchi-sudoer"

# Its standard input is the test's hold on it. /run/sshd is where sshd locks its helper up; systemd makes it elsewhere.
GUARDIAN = """
folder=$1 made=
[ -d /run/sshd ] || { mkdir -m 0755 /run/sshd && made=yes; }
exec 9</run/sshd
flock --shared 9  # others may need what we have made
shift
unshare --mount --propagation private sh -c '
    for name in passwd shadow group sudoers; do mount --bind "$0/$name" "/etc/$name" || exit; done
    if [ -e "$0/machine-id" ]; then
        mount --bind "$0/machine-id" /etc/machine-id && mount --bind "$0/run" /run || exit
    fi
    exec "$@"' "$folder" "$@" </dev/null 9<&- & sshd=$!
cat >/dev/null
kill -KILL "$sshd" $(cat "$folder"/*.pid 2>/dev/null) 2>/dev/null
rm -rf -- "$folder"
[ -z "$made" ] || { flock --nonblock 9 && rmdir /run/sshd; }
"""


class Sshd:
    """``with Sshd() as server:``; ``server.address`` and ``server.config`` are what a client needs."""

    def __init__(self, *options: str, ports: Sequence[int] = (), elsewhere: bool = False) -> None:
        """``options`` are lines of its configuration; ``ports`` are further ones that it listens on. ``elsewhere``: it
        is another machine than this by its id, with locks of its own."""
        installed.require(installed.SSH)
        self.folder = Path(tempfile.mkdtemp(prefix="ouchi-sshd-"))
        self.port, self.ports = free_port(), tuple(ports)
        self.address = f"root@127.0.0.1:{self.port}"
        self.log = self.folder / "log"
        for name in ("host", "user"):
            key = str(self.folder / name)
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True, timeout=60)
        self.config = self.client_config(self.folder / "known_hosts")
        self.write_known_hosts(self.folder / "known_hosts", self.port, *ports)
        self._write_config((*options, *(f"Port {port}" for port in ports)))
        self._write_users()
        if elsewhere:
            (self.folder / "machine-id").write_text(f"{secrets.token_hex(16)}\n")
            (self.folder / "run" / "sshd").mkdir(parents=True, mode=0o755)
        words = [SSHD, "-D", "-E", str(self.log), "-f", str(self.folder / "sshd_config")]
        self._guardian = subprocess.Popen(
            ["sh", "-c", GUARDIAN, "sh", str(self.folder), *words], stdin=subprocess.PIPE, start_new_session=True
        )
        self._wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End it, and take its files away."""
        self._guardian.communicate(timeout=30)

    @property
    def pid(self) -> int:
        """The listener's process."""
        return int((self.folder / "listener.pid").read_text())

    def sessions(self) -> list[int]:
        """The processes that serve connections now."""
        return children(self.pid)

    def has_shell(self, user: str, shell: str) -> None:
        """Give a user this login shell."""
        path = self.folder / "passwd"
        lines = [
            line.rpartition(":")[0] + f":{shell}" if line.startswith(f"{user}:") else line
            for line in path.read_text().splitlines()
        ]
        path.write_text("\n".join(lines) + "\n")

    def client_config(self, known_hosts: Path, key: str = "user") -> str:
        """A configuration for clients; its path."""
        path = self.folder / f"config-{known_hosts.name}-{key}"
        path.write_text(
            f"UserKnownHostsFile {known_hosts}\nGlobalKnownHostsFile /dev/null\nIdentityFile {self.folder / key}\n"
            "IdentitiesOnly yes\nIdentityAgent none\nStrictHostKeyChecking ask\n"
        )
        return str(path)

    def write_known_hosts(self, known_hosts: Path, *ports: int) -> None:
        """Note the host's key for these ports."""
        key = " ".join((self.folder / "host.pub").read_text().split()[:2])
        known_hosts.write_text("".join(f"[127.0.0.1]:{port} {key}\n" for port in ports))

    def _write_config(self, options: tuple[str, ...]) -> None:
        authorized = self.folder / "authorized_keys"
        authorized.write_bytes((self.folder / "user.pub").read_bytes())
        lines = (
            *options,
            f"Port {self.port}",
            "ListenAddress 127.0.0.1",
            f"HostKey {self.folder / 'host'}",
            f"AuthorizedKeysFile {authorized}",
            f"PidFile {self.folder / 'listener.pid'}",
            "PermitRootLogin yes",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            "StrictModes no",
            "UsePAM no",
            "UseDNS no",
            "MaxStartups 1000",
            "LogLevel VERBOSE",  # a line for each session: a round trip
            # A login shell reads nothing of the user's either: what stands in his .bashrc would be measured too.
            f"SetEnv HOME={self.folder}",
        )
        (self.folder / "sshd_config").write_text("\n".join(lines) + "\n")

    def _write_users(self) -> None:
        """The machine's own users and two more, which are bound over its files for this sshd alone."""
        self.folder.chmod(0o755)
        for name, mode, line in (
            ("passwd", 0o644, "{0}:x:{1}:{1}::/nonexistent:/bin/sh\n"),
            ("shadow", 0o640, "{0}:*:19000:0:99999:7:::\n"),
            ("group", 0o644, "{0}:x:{1}:\n"),
        ):
            added = "".join(line.format(user, number) for user, number in ((USER, 64321), (SUDOER, 64322)))
            (self.folder / name).write_text(Path(f"/etc/{name}").read_text() + added)
            (self.folder / name).chmod(mode)
        (self.folder / "sudoers").write_text(f"root ALL=(ALL) ALL\n{SUDOER} ALL=(ALL) NOPASSWD: ALL\n")
        (self.folder / "sudoers").chmod(0o440)

    def _wait(self) -> None:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        output = self.log.read_text() if self.log.exists() else ""
        self.close()
        raise RuntimeError(f"sshd does not answer: {output[-2000:]}")


def free_port() -> int:
    """A port of loopback that nobody listens on; below those that the kernel gives to clients by itself."""
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = secrets.choice(range(max(1024, lowest - 15_000), lowest))
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def children(pid: int) -> list[int]:
    """The direct children of a process."""
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
