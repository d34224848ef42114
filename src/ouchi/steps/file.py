"""Files, links and folders, with mode and owner; files as they are, byte for byte."""

from __future__ import annotations

import base64
import shlex
from collections.abc import Sequence

from ouchi.machine import Machine
from ouchi.steps import Change, Kind, Lasts, State

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


def file(path: str, text: str, *then: str, mode: int = 0o644, lasts: Lasts = Lasts.UNDO) -> Change:
    """A file of root's with this text."""
    return Change("file", path, file_state(text, mode), then, lasts)


def file_state(text: str, mode: int = 0o644) -> State:
    """The state of a file of root's."""
    return {"file": base64.b64encode(text.encode()).decode(), "mode": f"{mode:o}", "owner": "0:0"}


def folder(path: str, *, owner: str = "", mode: int = 0o755, lasts: Lasts = Lasts.UNDO) -> Change:
    """A folder, with the mode and owner that it has unless an owner is named; a new one goes when undone, if it is empty."""
    owned = {"mode": f"{mode:o}", "owner": owner} if owner else {}
    return Change("file", path, {"folder": True} | owned, lasts=lasts)


def link(path: str, target: str, *then: str) -> Change:
    """A symbolic link."""
    return Change("file", path, {"link": target}, then)


class FileKind(Kind):
    """Return what is at a path, without following a link at its end."""

    name = "file"

    def look(self, machine: Machine, keys: Sequence[str]) -> dict[str, State]:
        lines = machine.run(("sh", "-ceu", LOOK, "sh", *keys)).stdout.splitlines()
        return {key: _state(lines) for key in keys}

    def script(self, key: str, state: State) -> str:
        """Replaces a file or link at once: a reader sees the old or the new one, also after a power cut."""
        folder, _, name = key.rpartition("/")
        path, parent, fresh = shlex.quote(key), shlex.quote(folder), shlex.quote(f"{folder}/.{name}.ouchi")
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
            return f"{lines}{_owned(state, path) if 'mode' in state else ''}sync -- {parent}\n"
        packed = "\n".join(state["file"][i : i + 76] for i in range(0, len(state["file"]), 76))
        # What may be secret is nobody else's to read meanwhile, and a file or link that another program put there is kept out.
        return (
            f"umask 077\nset -C\nrm -f -- {fresh}\nbase64 -d >{fresh} <<'END'\n{packed}\nEND\n{_owned(state, fresh)}"
            f"sync -- {fresh}\nmv -fT -- {fresh} {path}\nsync -- {parent}\n"
        )

    def describe(self, _key: str, state: State) -> list[str]:
        """A file's lines, or what else it is."""
        if state is None:
            return []
        if "file" in state:
            return text_of(state).splitlines()
        if "link" in state:
            return [f"-> {state['link']}"]
        if "folder" in state:
            return [f"a folder{', of {owner}, mode {mode}'.format(**state) if 'owner' in state else ''}"]
        return [str(state["other"])]


class OneBootFileKind(FileKind):
    """A file that exists for one reboot only (:mod:`ouchi.host.reboot`), beside a record of the same path that stays."""

    name = "one-boot file"


def text_of(state: State) -> str:
    """The text of a file's state; empty for anything else."""
    return base64.b64decode(state["file"]).decode(errors="replace") if state and "file" in state else ""


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


def _owned(state: State, path: str) -> str:
    owner = f"chown -- {shlex.quote(state['owner'])} {path}\n" if "owner" in state else ""
    return f"{owner}chmod -- {shlex.quote(state['mode'])} {path}\n"
