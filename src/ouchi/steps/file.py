"""Files, links and folders, with mode and owner; files as they are, byte for byte."""

from __future__ import annotations

import base64
import shlex
from collections.abc import Sequence

from ouchi.machine import Machine
from ouchi.steps import Change, State

KIND = "path"

LOOK = r"""
for path; do
    if [ -L "$path" ]; then printf 'link '; readlink -n -- "$path" | base64 -w0; echo
    elif [ -f "$path" ]; then stat -c 'file %a %u:%g' -- "$path"; base64 -w0 -- "$path"; echo
    elif [ -d "$path" ]; then stat -c 'folder %a %u:%g' -- "$path"
    elif [ -e "$path" ]; then echo other
    else echo none
    fi
done
"""


def file(path: str, text: str, *then: str, mode: int = 0o644) -> Change:
    """A file of root's with this text."""
    return Change(KIND, path, {"file": _pack(text.encode()), "mode": f"{mode:o}", "owner": "0:0"}, then)


def folder(path: str, *, owner: str = "") -> Change:
    """A folder, with the mode and owner that it has unless one is named; undone, ours goes if it is empty."""
    return Change(KIND, path, {"folder": True} | ({"mode": "755", "owner": owner} if owner else {}))


def link(path: str, target: str, *then: str) -> Change:
    """A symbolic link."""
    return Change(KIND, path, {"link": target}, then)


def look(machine: Machine, keys: Sequence[str]) -> dict[str, State]:
    """What is at each path, without following a link at its end."""
    lines = machine.run(("sh", "-ceu", LOOK, "sh", *keys)).stdout.splitlines()
    return {key: _state(lines) for key in keys}


def _state(lines: list[str]) -> State:
    """The next state of what :data:`LOOK` printed; takes its lines away."""
    kind, *words = lines.pop(0).split(" ")
    match kind:
        case "link":
            return {"link": base64.b64decode(words[0]).decode(errors="surrogateescape")}
        case "file":
            return {"file": lines.pop(0), "mode": words[0], "owner": words[1]}
        case "folder":
            return {"folder": True, "mode": words[0], "owner": words[1]}
        case "other":
            return {"other": "neither file, link nor folder"}
        case _:
            return None


def script(key: str, state: State) -> str:
    """Replaces a file or link at once: whoever reads sees the old or the new one, also after a power cut."""
    path, parent = shlex.quote(key), shlex.quote(key.rpartition("/")[0])
    fresh = shlex.quote(f"{key.rpartition('/')[0]}/.{key.rpartition('/')[2]}.ouchi")
    if state is None:
        # A folder that something else has come into stays.
        return (
            f"rm -f -- {fresh}\n"
            f"if [ -d {path} ] && [ ! -L {path} ]; then rmdir --ignore-fail-on-non-empty -- {path}\n"
            f"else rm -f -- {path}; fi\nif [ -d {parent} ]; then sync -- {parent}; fi\n"
        )
    if "link" in state:
        return f"ln -sfnT -- {shlex.quote(state['link'])} {fresh}\nmv -fT -- {fresh} {path}\nsync -- {parent}\n"
    if "folder" in state:
        lines = f"[ -d {path} ] || mkdir -m 755 -- {path}\n"
        if "mode" in state:
            lines += f"chown -- {shlex.quote(state['owner'])} {path}\nchmod -- {shlex.quote(state['mode'])} {path}\n"
        return f"{lines}sync -- {parent}\n"
    return (
        f"base64 -d >{fresh} <<'END'\n{_wrapped(state['file'])}\nEND\n"
        f"chown -- {shlex.quote(state['owner'])} {fresh}\nchmod -- {shlex.quote(state['mode'])} {fresh}\n"
        f"sync -- {fresh}\nmv -fT -- {fresh} {path}\nsync -- {parent}\n"
    )


def words(_key: str, state: State) -> list[str]:
    """A file's lines, or what else it is."""
    if state is None:
        return []
    if "file" in state:
        return base64.b64decode(state["file"]).decode(errors="replace").splitlines()
    if "link" in state:
        return [f"-> {state['link']}"]
    if "folder" in state:
        return [f"a folder{', of ' + state['owner'] if 'owner' in state else ''}"]
    return [str(state["other"])]


def text_of(state: State) -> str:
    """The text of a file's state; empty for anything else."""
    return base64.b64decode(state["file"]).decode(errors="replace") if state and "file" in state else ""


def _pack(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _wrapped(packed: str) -> str:
    return "\n".join(packed[i : i + 76] for i in range(0, len(packed), 76))
