"""A plan as a file: the plan with the site and the facts that it was made from, so that nothing else is needed.

``ouchi plan --json`` writes it. The plan's members stand at the top; ``site`` and ``facts`` stand beside them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, NoReturn

from pydantic import ValidationError
from pydantic_core import ErrorDetails, from_json

from ouchi.core import plain
from ouchi.core.errors import BadInput, Finding, error
from ouchi.facts import SCHEMA as FACTS_SCHEMA
from ouchi.facts import Facts
from ouchi.plan.target import SAVE, Target, check_names
from ouchi.plan.values import SCHEMA, Plan, Style
from ouchi.site import Site
from ouchi.site.conflicts import conflicts
from ouchi.site.leaves import leaves
from ouchi.site.source import Path
from ouchi.site.text import clip, dotted, shown

LARGEST = 16 * 1024 * 1024
"""Bytes; the plan of a host with 1024 CPUs and 64 NICs has 0.6 million."""
LARGEST_NUMBER = 2**62
MOST_FINDINGS = 20
MOST_CPUS = 8192
"""As many as Linux knows on x86-64 (NR_CPUS with MAXSMP, arch/x86/Kconfig)."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_PAGES_KIB = (2048, 1024 * 1024)


@dataclass(frozen=True, slots=True)
class SavedPlan(Plan):
    """The document: a plan, with the site and facts that it was made from."""

    site: Site
    facts: Facts


def plan_json(target: Target) -> dict[str, Any]:
    """The document of a target, as plain JSON."""
    return {**target.plan.to_json(), "site": target.site.to_json(), "facts": target.facts.to_json()}


def parse_plan(text: bytes, file: str) -> Target:
    """The target that a saved plan holds. Raises BadInput with every error and its place in the document."""
    _check_form(text, file)
    try:
        saved = plain.from_json(SavedPlan, text)
    except ValidationError as reason:
        details = reason.errors(include_url=False)
        raise BadInput(_schema_error(each, file) for each in details[:MOST_FINDINGS]) from None
    target = Target(saved.site, saved.facts, Plan(*(getattr(saved, field.name) for field in fields(Plan))), file)
    # Plans that ouchi writes never contradict themselves, and everything that reads a plan relies on it.
    contradictions = [
        error("the plan contradicts itself", where=f"{file}: {where}", found=found, expected=expected, remedy=SAVE)
        for where, found, expected in _contradictions(target)
    ]
    if contradictions:
        raise BadInput(contradictions[:MOST_FINDINGS])
    check_names(target.plan)
    return target


def parse_plan_and_facts(plan_text: bytes, facts_text: bytes, folder: str) -> tuple[Plan, Facts]:
    """A plan and its facts from two documents, as the folder of a benchmark has them. Raises BadInput."""
    plan_file, facts_file = f"{folder}/plan.json", f"{folder}/facts.json"
    _check_form(plan_text, plan_file)
    _check_form(facts_text, facts_file, FACTS_SCHEMA)
    try:
        plan, facts = plain.from_json(Plan, plan_text), plain.from_json(Facts, facts_text)
    except ValidationError as reason:
        raise BadInput(
            _schema_error(each, folder) for each in reason.errors(include_url=False)[:MOST_FINDINGS]
        ) from None
    if len({cpu.id for cpu in facts.cpus}) != len(facts.cpus) or len(facts.cpus) > MOST_CPUS:
        _refuse(
            "the facts contradict themselves", facts_file, f"{len(facts.cpus)} CPUs", f"up to {MOST_CPUS}, each once"
        )
    for where, found, expected in _unknown_cpus(plan, facts):
        _refuse("the plan contradicts its facts", f"{plan_file}: {where}", found, expected)
    return plan, facts


def _check_form(text: bytes, file: str, schema: int = SCHEMA) -> None:
    """Refuse what is no JSON object of this schema, and texts with control characters, before anything is built."""
    if len(text) > LARGEST:
        _refuse("the plan is too large", file, f"more than {LARGEST} bytes")
    try:
        data = from_json(text, allow_inf_nan=False)
    except ValueError as reason:
        _refuse("the plan is not JSON", file, clip(str(reason), 160))
    if not isinstance(data, dict) or "schema" not in data:
        _refuse("this is no saved plan", file, shown(data), "an object with the key schema")
    if "hosts" in data:
        remedy = "save one: ouchi plan --host NAME --json > FILE"
        _refuse("the file has the plans of several hosts", file, "the key hosts", "one plan", remedy)
    if data["schema"] != schema:
        found = f"schema {shown(data['schema'])}"
        _refuse("the plan was saved by another version of ouchi", f"{file}: schema", found, f"schema {schema}")
    if odd := [finding for path, value in _values(data) for finding in _odd(value, f"{file}: {dotted(path)}")]:
        raise BadInput(odd[:MOST_FINDINGS])


def _refuse(claim: str, where: str, found: str, expected: str = "a saved plan", remedy: str = SAVE) -> NoReturn:
    raise BadInput.of(claim, where=where, found=found, expected=expected, remedy=remedy) from None


def _values(data: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every key, text and number of a document. The parser has bounded the depth."""
    if isinstance(data, dict):
        for key, value in data.items():
            yield path, key
            yield from _values(value, (*path, key))
    elif isinstance(data, list):
        for index, value in enumerate(data):
            yield from _values(value, (*path, index))
    else:
        yield path, data


def _odd(value: object, where: str) -> Iterator[Finding]:
    if isinstance(value, str) and _CONTROL.search(value):
        yield error("a text has control characters", where=where, found=clip(value), expected="plain text")
    if isinstance(value, int) and abs(value) > LARGEST_NUMBER:
        yield error("a number is out of range", where=where, found=f"{value:.3e}", expected="at most 2**62")


def _schema_error(details: ErrorDetails, file: str) -> Finding:
    message = details["msg"].removeprefix("Value error, ")
    return error(
        f"the plan does not have its form: {message[:1].lower()}{message[1:]}",
        where=f"{file}: {dotted(details['loc'])}",
        found="" if details["type"] == "missing" else shown(details["input"]),
        remedy=SAVE,
    )


def _contradictions(target: Target) -> Iterator[tuple[str, str, str]]:
    """Where, what was found, what was expected."""
    site, facts, plan = target.site, target.facts, target.plan
    for conflict in conflicts(dict(leaves(Site, site.model_dump(mode="json", exclude_none=True)))):
        yield f"site.{dotted(conflict.path)}", f"{conflict.claim}: {conflict.found}", conflict.expected
    if plan.name not in {*Style}:
        yield "name", shown(plan.name), f"one of {', '.join(Style)}"
    yield from _unknown_cpus(plan, facts)
    for pool in ("host", "pmd", "shared"):
        if not getattr(plan.pools, pool):
            yield f"pools.{pool}", "no CPU", "at least one CPU"
    nodes = {node.node for node in facts.memory}
    for number, need in enumerate(plan.hugepages):
        if need.size_kib not in _PAGES_KIB or need.node not in nodes or need.count < 0:
            found = f"{need.count} pages of {need.size_kib} KiB on node {need.node}"
            yield f"hugepages[{number}]", found, "pages of 2048 or 1048576 KiB on a node of facts.memory"
    yield from _nic_contradictions(target)
    servers = [(server.name, server.vcpus, server.memory_mib) for server in site.servers]
    if [(guest.name, guest.vcpus, guest.memory_mib) for guest in plan.guests] != servers:
        yield (
            "guests",
            ", ".join(guest.name for guest in plan.guests) or "none",
            "the servers of the site, in their order",
        )
    for number, guest in enumerate(plan.guests):
        if not guest.cpus or (guest.pinned and len(guest.cpus) != guest.vcpus):
            yield f"guests[{number}].cpus", f"{len(guest.cpus)} CPUs", f"{guest.vcpus} CPUs"


def _unknown_cpus(plan: Plan, facts: Facts) -> Iterator[tuple[str, str, str]]:
    online = {cpu.id for cpu in facts.cpus if cpu.online}
    for where, cpus in _cpu_lists(plan):
        if not online.issuperset(cpus):
            yield where, f"CPU {min({*cpus} - online)}", "CPUs that are online in facts.cpus"


def _cpu_lists(plan: Plan) -> Iterator[tuple[str, tuple[int, ...]]]:
    for pool in ("host", "pmd", "dedicated", "shared"):
        yield f"pools.{pool}", getattr(plan.pools, pool)
    yield "isolated", plan.isolated
    yield from ((f"nics[{number}].rxqs", nic.rxqs) for number, nic in enumerate(plan.nics))
    yield from ((f"guests[{number}].cpus", guest.cpus) for number, guest in enumerate(plan.guests))


def _nic_contradictions(target: Target) -> Iterator[tuple[str, str, str]]:
    addresses = {nic.address for nic in target.facts.nics if nic.address}
    for number, nic in enumerate(target.plan.nics):
        if nic.address not in addresses:
            yield f"nics[{number}].address", shown(nic.address), "the address of one of facts.nics"
        if nic.role != "left alone" and nic.physnet not in target.bridges:
            yield f"nics[{number}].physnet", shown(nic.physnet), "a physnet of the site"
