"""What a user without any rights can do to ouchi's services, run inside the lab as that user; prints JSON of what worked.

Arguments: the services' TCP ports. Nothing but the Python of this machine is used, as the user may not read ouchi's.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

TOPS = ("/var/lib/ouchi", "/var/lib/ouchi-host", "/run/ouchi", "/run/ouchi.lock", "/var/log/ouchi", "/etc/openstack")
PATHS = ("/v3/users", "/v2/images", "/resource_providers", "/v2.1/servers", "/v2.0/networks")


def paths() -> Iterator[str]:
    """All that the user can see of ouchi's."""
    for top in TOPS:
        if os.path.lexists(top):
            yield top
        for folder, folders, files in os.walk(top):
            yield from (os.path.join(folder, name) for name in folders + files)


def worked(do: Callable[[], object]) -> bool:
    try:
        do()
    except OSError:
        return False
    return True


def connect(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as end:
        end.settimeout(5)
        end.connect(path)


def listen(port: int) -> None:
    for address in ("127.0.0.1", "127.0.0.2", "0.0.0.0", "::1"):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family) as end:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            end.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if worked(lambda end=end, address=address: end.bind((address, port))):  # type: ignore[misc]
                return
    raise PermissionError


def ask(port: int) -> dict[str, int]:
    """The HTTP status of each API's own resources, without a token."""
    found = {}
    for path in PATHS:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            connection.request("GET", path)
            found[path] = connection.getresponse().status
        except (OSError, http.client.HTTPException):
            continue
        finally:
            connection.close()
    return found


def main(ports: list[int]) -> None:
    seen = sorted(set(paths()))
    kinds = {path: os.lstat(path).st_mode for path in seen}
    processes = [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]
    print(
        json.dumps(
            {
                "user": os.geteuid(),
                "seen": seen,
                "read": [path for path in seen if stat.S_ISREG(kinds[path]) and os.access(path, os.R_OK)],
                "write": [path for path in seen if not stat.S_ISLNK(kinds[path]) and os.access(path, os.W_OK)],
                "connected": [
                    path for path in seen if stat.S_ISSOCK(kinds[path]) and worked(lambda p=path: connect(p))
                ],  # type: ignore[misc]
                "bound": [port for port in ports if worked(lambda p=port: listen(p))],  # type: ignore[misc]
                "locked": worked(lambda: Path("/run/ouchi.lock").open("a").close()),
                "signalled": [pid for pid in processes if worked(lambda p=pid: os.kill(p, 0))],  # type: ignore[misc]
                "environments": [
                    pid for pid in processes if worked(lambda p=pid: Path(f"/proc/{p}/environ").read_bytes())
                ],  # type: ignore[misc]
                "answers": {port: ask(port) for port in ports},
            }
        )
    )


main([int(word) for word in sys.argv[1:]])
