"""Text → site, or every error in it at once."""

from __future__ import annotations

from itertools import islice
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from ouchi.errors import BadInput, Finding, error, info
from ouchi.machine import Path as FilePath
from ouchi.machine import Reader
from ouchi.site.conflicts import conflicts
from ouchi.site.leaves import leaves
from ouchi.site.misshapen import misshapen
from ouchi.site.models import Site
from ouchi.site.source import Placed, Source, parse

MOST_FINDINGS = 50


def load_site(text: bytes, file: str) -> Site:
    """The site that `text` says; `file` is its name in findings. Raises BadInput with all errors at once."""
    source = parse(text, file)
    if source.data is None:
        raise BadInput(_empty(file))
    site, wrong = _validate(source)
    wrong += [*source.twice, *_conflicts(source)]
    if site is None or wrong:
        raise BadInput(_in_order(wrong))
    return site


def read_site(machine: Reader, path: FilePath) -> Site:
    """The site in a file of `machine`. Raises BadInput with all errors at once."""
    try:
        text = machine.read(path)
    except OSError as reason:
        said = reason.strerror or str(reason)
        raise BadInput(
            error("the site file cannot be read", where=str(path), found=said, expected="a YAML file")
        ) from None
    return load_site(text.encode("utf-8", errors="replace"), str(path))


def _validate(source: Source) -> tuple[Site | None, list[Placed]]:
    try:
        return Site.model_validate(source.data, context=source), []
    except ValidationError as reason:
        details = [each for each in reason.errors(include_url=False) if not _echo(each)]
        return None, [misshapen(each, source) for each in details[: MOST_FINDINGS + 1]]


def _echo(details: ErrorDetails) -> bool:
    """pydantic also calls a list empty when every item of it is wrong."""
    return details["type"] == "too_short" and bool(details["input"])


def _conflicts(source: Source) -> list[Placed]:
    values: dict[tuple[str | int, ...], Any] = dict(leaves(Site, source.data))
    return [
        (
            source.position(each.path),
            error(
                each.claim,
                where=source.where(each.path),
                found=each.found,
                expected=each.expected,
                remedy=each.remedy,
            ),
        )
        for each in islice(conflicts(values), MOST_FINDINGS + 1)
    ]


def _in_order(placed: list[Placed]) -> list[Finding]:
    """As the file has them; a person corrects the first few dozen and runs again."""
    placed.sort(key=lambda item: item[0])
    findings = [finding for _, finding in placed[:MOST_FINDINGS]]
    if len(placed) > MOST_FINDINGS:
        findings.append(info(f"there are more errors than these {MOST_FINDINGS}"))
    return findings


def _empty(file: str) -> Finding:
    return error(
        "the file says nothing",
        where=f"{file}:1:1",
        found="an empty file, or comments only",
        expected="a site: name, networks and servers",
        remedy="remove the file and run `ouchi up`, which writes one for this machine",
    )
