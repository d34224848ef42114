"""Text → site, or every error in it at once."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from pydantic import ValidationError

from ouchi.core.errors import BadInput, Finding, error, info
from ouchi.machine import Path as FilePath
from ouchi.machine import Reader
from ouchi.site.conflicts import Conflict, conflicts
from ouchi.site.hosts import between, has_hosts, split
from ouchi.site.leaves import leaves
from ouchi.site.models import Site, SiteFile
from ouchi.site.schema_errors import schema_error
from ouchi.site.source import LARGEST, Placed, Position, Source, parse
from ouchi.site.text import clip, one_of

MOST_FINDINGS = 50


def load_sites(text: bytes, file: str) -> tuple[Site, ...]:
    """The site of each host that `text` describes; `file` is its name in findings. Raises BadInput with all errors."""
    source = parse(text, file)
    if source.data is None:
        raise BadInput.of(
            "the file is empty",
            where=f"{file}:1:1",
            found="an empty file, or comments only",
            expected="a site: name, networks and servers",
            remedy="remove the file and run `ouchi up`, which writes one for this machine",
        )
    parts = split(source)
    wrong = [*_wrong(source), *source.twice, *_conflicts(source, parts)]
    if has_hosts(source):
        wrong += [_no_servers(part, number) for number, part in enumerate(parts) if "servers" not in _keys(part)]
    if wrong:
        raise BadInput(_in_order(wrong))
    return tuple(Site.model_validate(part.data, context=part) for part in parts)


def load_site(text: bytes, file: str) -> Site:
    """The one site that `text` describes. Raises BadInput as :func:`load_sites`, and for several hosts."""
    sites = load_sites(text, file)
    if len(sites) > 1:
        raise BadInput(several(sites))
    return sites[0]


def read_sites(machine: Reader, path: FilePath) -> tuple[Site, ...]:
    """The site of each host in a file of `machine`. Raises BadInput with all errors at once."""
    try:
        text = machine.read_bytes(path, LARGEST + 1)
    except OSError as reason:
        found = reason.strerror or str(reason)
        raise BadInput.of(
            "the site file cannot be read", where=str(path), found=found, expected="a YAML file"
        ) from None
    return load_sites(text, str(path))


def several(sites: Sequence[Site], remedy: str = "name it: --host NAME, where the command has it") -> Finding:
    """The finding for a file with several hosts where one is needed."""
    return error(
        "the site file describes several hosts",
        where=sites[0].file,
        found=one_of([site.name for site in sites]).removeprefix("one of "),
        expected="one host",
        remedy=remedy,
    )


def _wrong(source: Source) -> list[Placed]:
    """Values that are wrong by themselves."""
    try:
        (SiteFile if has_hosts(source) else Site).model_validate(source.data)
    except ValidationError as reason:
        # pydantic also calls a list empty when every item of it is wrong.
        errors = (each for each in reason.errors(include_url=False) if each["type"] != "too_short" or not each["input"])
        return [schema_error(each, source) for each in islice(errors, MOST_FINDINGS + 1)]
    return []


def _conflicts(source: Source, parts: Sequence[Source]) -> list[Placed]:
    """Conflicts of each host; what is shared is reported once, the rest with its host's name."""
    found: dict[tuple[Position, Conflict], list[str]] = {}
    for part in parts:
        for each in islice(conflicts(dict(leaves(Site, part.data))), MOST_FINDINGS + 1):
            found.setdefault((part.position(each.path), each), []).append(_name(part))
    apart = has_hosts(source) and len(parts) > 1
    placed = [
        (position, each._replace(claim=f"{names[0]}: {each.claim}") if apart and len(names) == 1 else each)
        for (position, each), names in found.items()
    ]
    if has_hosts(source):
        values = dict(leaves(SiteFile, source.data))
        placed += [(source.position(each.path), each) for each in between(values)]
    return [
        (position, error(claim, where=source.at(position), found=found, expected=expected, remedy=remedy))
        for position, (_, claim, found, expected, remedy) in placed
    ]


def _no_servers(part: Source, number: int) -> Placed:
    position = part.position(())
    finding = error(
        f"the key servers is missing in hosts[{number}], and in the file for all",
        where=part.at(position),
        found=f"the host {clip(_name(part))} without servers",
        expected="servers, in one of both places; [] for none",
    )
    return position, finding


def _keys(part: Source) -> dict[str, object]:
    return part.data if isinstance(part.data, dict) else {}


def _name(part: Source) -> str:
    return clip(str(_keys(part).get("name", "")))


def _in_order(placed: list[Placed]) -> list[Finding]:
    """In the order of the file, at most :data:`MOST_FINDINGS`."""
    placed.sort(key=lambda item: item[0])
    findings = [finding for _, finding in placed[:MOST_FINDINGS]]
    if len(placed) > MOST_FINDINGS:
        findings.append(info(f"there are more errors than these {MOST_FINDINGS}"))
    return findings
