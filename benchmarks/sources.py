"""The distribution's own entries among a host's apt sources, and what apt needs to reach them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

KEPT_SETTINGS = ("Acquire::http", "Acquire::ftp", "Acquire::Check-", "Acquire::Retries", "Acquire::ForceIPv")
"""What a network asks of apt: proxies, certificates, clocks, addresses. ``Acquire::http`` begins ``https`` too."""


@dataclass(frozen=True, slots=True)
class Source:
    """One suite of one archive. ``key`` is the path of its key ring, or empty; ``trusted``: used without a key."""

    uri: str
    suite: str
    components: tuple[str, ...]
    key: str = ""
    trusted: bool = False

    def line(self) -> str:
        """As one line of ``sources.list`` (sources.list(5))."""
        options = [f"signed-by={self.key}"] if self.key else []
        options += ["trusted=yes"] if self.trusted else []
        return " ".join(
            ["deb", *([f"[{' '.join(options)}]"] if options else []), self.uri, self.suite, *self.components]
        )


def of_release(sources: Iterable[Source], codename: str, release: str) -> list[Source]:
    """The entries of a host's release itself, its updates and security; archives of others have other suites.

    Each once, the release first: it is what a new system is made of. ``codename`` is the host's; the entries that
    are returned are for ``release``, which the same archives have.
    """
    names = (codename, f"{codename}-updates", f"{codename}-security")
    found = {source.suite: source for source in sources if source.suite in names and "main" in source.components}
    return [replace(found[name], suite=name.replace(codename, release)) for name in names if name in found]


def parse_sources(files: Mapping[str, str]) -> list[Source]:
    """Every binary source in files of either form, told apart by their names (``.list``, ``.sources``)."""
    found: list[Source] = []
    for name, text in files.items():
        found += _deb822(text) if name.endswith(".sources") else _lines(text)
    return found


def _lines(text: str) -> Iterator[Source]:
    for line in text.splitlines():
        if match := re.match(r"\s*deb\s+(?:\[([^]]*)\]\s+)?(\S+)\s+(\S+)([^#]*)", line):
            options = dict(option.partition("=")[::2] for option in (match[1] or "").split())
            yield Source(
                match[2],
                match[3],
                tuple(match[4].split()),
                _key(options.get("signed-by", "")),
                _yes(options.get("trusted")),
            )


def _deb822(text: str) -> Iterator[Source]:
    for paragraph in re.split(r"\n[ \t]*\n", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)):
        pairs = re.findall(r"^([\w-]+):[ \t]*(.*(?:\n[ \t]+.*)*)", paragraph, re.MULTILINE)
        fields = {name.lower(): value.strip() for name, value in pairs}
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() in ("no", "false"):
            continue
        key, trusted = _key(fields.get("signed-by", "")), _yes(fields.get("trusted"))
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                yield Source(uri, suite, tuple(fields.get("components", "").split()), key, trusted)


def _key(text: str) -> str:
    """The path of a key ring; a fingerprint or a key written out is none."""
    return text if text.startswith("/") and "\n" not in text else ""


def _yes(text: str | None) -> bool:
    return (text or "").lower() in ("yes", "true")


def network_settings(dump: str) -> str:
    """The lines of ``apt-config dump`` that say how to reach an archive, as a configuration file."""
    kept = [line for line in dump.splitlines() if line.startswith(KEPT_SETTINGS) and not line.endswith(' "";')]
    return "".join(f"{line}\n" for line in kept)
