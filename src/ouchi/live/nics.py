"""NICs: drivers' overrides, VFs, and the network configuration that names interfaces."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from ouchi.live.sections import linked


def parse_vfs(text: str) -> dict[str, tuple[Mapping[str, object], ...]]:
    """Return the VFs of each interface in the JSON of ``ip link show``."""
    try:
        links = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(links, list):
        return {}
    return {
        str(link.get("ifname")): tuple(vf for vf in found if isinstance(vf, dict))
        for link in links
        if isinstance(link, dict) and isinstance(found := link.get("vfinfo_list"), list)
    }


def parse_networking(text: str) -> dict[str, frozenset[str]]:
    """Return the words of the picked lines of each configuration file, in lower case: interfaces and MAC addresses."""
    found: dict[str, set[str]] = {}
    for line in text.split("\n"):
        path, colon, words = line.partition(":")
        if colon:
            uncommented = re.sub(r"\s#.*", "", words)
            found.setdefault(path, set()).update(
                word.strip("\"':;").lower() for word in re.split(r"[\s=,\[\]{}]+", uncommented)
            )
    return {path: frozenset(words - {""}) for path, words in found.items()}


def parse_overrides(text: str) -> dict[str, str]:
    """Return driverctl's overrides by PCI address, from its files ``pci-ADDRESS``."""
    found = {}
    for line in text.split("\n"):
        path, _, driver = line.rpartition(":")
        if (name := path.rpartition("/")[2]).startswith("pci-"):
            found[name.removeprefix("pci-")] = driver.strip()
    return found


def parse_vf_addresses(text: str) -> dict[str, tuple[str, ...]]:
    """Return the addresses of VFs by the address of their PF."""
    found: dict[str, list[str]] = {}
    for path, target in linked(text).items():
        parts = path.split("/")
        if len(parts) > 1:
            found.setdefault(parts[-2], []).append(target)
    return {address: tuple(sorted(functions)) for address, functions in found.items()}
