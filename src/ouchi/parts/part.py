"""A part: everything about one thing that ouchi runs, in one file.

Every module under :mod:`ouchi.parts` that has a tuple ``PARTS`` adds its parts to the host: ``up`` makes them in the
order of their needs, ``up --dry-run`` and ``status`` read their state, ``down`` removes them in reverse, and their
ports, secrets, databases and API endpoints are defined nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from ouchi.core.errors import Finding
from ouchi.core.events import Notify
from ouchi.core.outcome import Outcome, nothing
from ouchi.parts.supervise import ServiceState

if TYPE_CHECKING:
    from ouchi.parts.context import Context

PLAN = "plan"
"""The task that makes the plan, which every part that depends on the site needs."""


@dataclass(frozen=True, slots=True)
class Listener:
    """A TCP port on the controller's address by its name, and the supervised program that listens on it."""

    name: str
    port: int
    service: str


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An OpenStack API: its service type in the catalogue, and the path under which clients find the version used.

    ``registered`` is the path that the catalogue has, which for most services is none.
    """

    type: str
    version: str = ""
    registered: str = ""


@dataclass(frozen=True, slots=True)
class PartState:
    """A part as it is now.

    ``ok``: as it should be; None when that cannot be seen at the moment. ``state`` in a word or two, ``found`` the
    evidence. ``to_do`` is what ``make`` would do, empty when nothing. ``services`` are the part's supervised programs.
    """

    ok: bool | None
    state: str
    found: str = ""
    to_do: str = ""
    remedy: str = "ouchi up"
    services: tuple[ServiceState, ...] = ()


def present(found: str = "", state: str = "present") -> PartState:
    """The state of a part that is as planned: ``make`` would do nothing."""
    return PartState(True, state, found)


def missing(to_do: str, found: str = "", state: str = "missing") -> PartState:
    """The state of a part that is missing or not as planned: ``make`` would do ``to_do``."""
    return PartState(False, state, found, to_do)


def unknown(found: str, to_do: str = "") -> PartState:
    """The state of a part that cannot be read at the moment; ``found`` is the reason."""
    return PartState(None, "unknown", found, to_do)


class Part:
    """One thing that ouchi runs or sets up on a host. Subclasses state what they are and override what they do."""

    name: ClassVar[str]
    stage: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = (PLAN,)
    """Names of the parts that must be made before."""
    on: ClassVar[Literal["controller", "compute"]] = "compute"
    """Whether one host of a site has it, or every one that runs guests."""
    ports: ClassVar[tuple[Listener, ...]] = ()
    secrets: ClassVar[tuple[str, ...]] = ()
    """Names of its passwords."""
    schemas: ClassVar[tuple[str, ...]] = ()
    """Its databases; they belong to the database user of the part's name."""
    endpoint: ClassVar[Endpoint | None] = None
    service_names: ClassVar[tuple[str, ...]] = ()
    """Its supervised programs; ``ouchi logs`` shows the log of each."""

    def conflicts(self, at: Context) -> list[Finding]:
        """Return findings about other programs in the way, before anything is changed. Reads only."""
        return []

    def look(self, at: Context) -> PartState:
        """Return the current state of the part. Reads only, and may be called without root."""
        raise NotImplementedError

    def make(self, at: Context, notify: Notify) -> Outcome:
        """Bring it about, as far as it is not there. Killed at any point, the next call resumes."""
        raise NotImplementedError

    def remove(self, at: Context) -> Outcome:
        """Remove it, complete, half made or missing; its data is kept."""
        return nothing("nothing to remove")
