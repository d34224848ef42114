"""From the site file and the machine to the target: the first step of every command that shows or follows a plan."""

from __future__ import annotations

from collections.abc import Sequence

from ouchi.core.errors import BadInput
from ouchi.facts import Facts, collect
from ouchi.machine import Machine, Reader
from ouchi.machine.ssh.address import Address, parse_address
from ouchi.plan import Style, make_plan
from ouchi.plan.target import SAVE, Target
from ouchi.site import Site, default_site, load_site, read_sites, several


def read_target(machine: Machine, site_file: str, *, fit: bool = True) -> Target:
    """The plan of this machine; nothing is written.

    Of a file with several hosts it is the one with this host's name. Raises :class:`~ouchi.core.errors.BadInput` with
    everything that is wrong with the file or does not fit the machine, and when the site's address is that of another
    machine than this.
    """
    facts = facts_of(machine)
    if not machine.exists(site_file):
        return target_of(site_file, None, facts, fit=fit)
    site = own_site(read_sites(machine, site_file), facts)
    if site.address and not is_here(parse_address(site.address), facts):
        raise BadInput.of(
            f"{site.name} is another machine than this one",
            where=site.where("address"),
            found=site.address,
            expected="this machine, or no address",
            remedy="run it on that host, or for the host's part from here: ouchi apply",
        )
    return target_of(site_file, site, facts, fit=fit)


def target_of(
    site_file: str, site: Site | None, facts: Facts, style: Style | None = None, *, fit: bool = True
) -> Target:
    """The plan of a host with these facts; without a site, of the one that ``up`` would write for it.

    ``style`` in place of the one that the site prefers; ``fit`` as for :func:`~ouchi.plan.make_plan`.
    """
    if site:
        return Target(site, facts, make_plan(site, facts, style, fit=fit), site_file)
    memory = sum(node.total_kib for node in facts.memory) // 1024
    text = default_site(facts.system.hostname, len(facts.cpus), memory)
    site = load_site(text.encode(), site_file)
    return Target(site, facts, make_plan(site, facts, style, fit=fit), site_file, new=True)


def read_plan(machine: Machine, path: str) -> Target:
    """The target in a file that ``ouchi plan --json`` wrote; ``path`` is on ``machine``.

    Its facts are those of when it was planned: :func:`ouchi.plan.same_host.on_host` puts the present ones in their
    place. Raises :class:`~ouchi.core.errors.BadInput` with every error and its place in the document.
    """
    from ouchi.plan.saved import LARGEST, parse_plan

    try:
        kind = machine.kind(path)
        if kind == "link":
            followed = machine.run(("readlink", "-f", "--", path), check=False).stdout.removesuffix("\n")
            kind = machine.kind(followed) if followed else kind
        if kind not in ("", "file"):
            found = {"folder": "a folder", "link": "a link to itself"}.get(kind, "a device, pipe or socket")
            raise BadInput.of("the plan cannot be read", where=path, found=found, expected="a regular file")
        text = machine.read_bytes(path, LARGEST + 1)
    except OSError as reason:
        found = reason.strerror or str(reason)
        raise BadInput.of("the plan cannot be read", where=path, found=found, expected="a file", remedy=SAVE) from None
    return parse_plan(text, path)


def facts_of(reader: Reader) -> Facts:
    """A host's facts, with what carries the user's session to it marked."""
    return collect(reader, reader.probe("session").strip())


def own_site(sites: Sequence[Site], facts: Facts) -> Site:
    """The one site, or of several that of the host with these facts. Raises :class:`~ouchi.core.errors.BadInput`."""
    found = sites if len(sites) == 1 else [site for site in sites if site.name == facts.system.hostname]
    if not found:
        raise BadInput(
            several(sites, f"one of them with the name of this host: {facts.system.hostname or 'it has none'}")
        )
    return found[0]


def is_here(address: Address, facts: Facts) -> bool:
    """True when an address is one of the host with these facts.

    A name is only when it is the host's own: no server is asked. A port of loopback may lead anywhere.
    """
    host = address.host.lower()
    if host in ("localhost", "127.0.0.1", "::1"):
        return address.port in (0, 22)
    own = {text.partition("/")[0] for nic in facts.nics for text in nic.addresses}
    name = facts.system.hostname.lower()
    return host in own or (bool(name) and host in (name, name.partition(".")[0]))
