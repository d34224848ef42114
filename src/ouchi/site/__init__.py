"""The site file: one YAML document that describes the purpose of one or several hosts, as frozen models.

``load_site`` is the way in from text, ``read_sites`` from a machine, with one site for each host of the file. They raise
one :class:`~ouchi.core.errors.BadInput` that carries every error with its line and column. ``check_against`` holds a site against a machine's facts, ``default_site`` writes the first file.
"""

from ouchi.site.against import check_against
from ouchi.site.hosts import choose
from ouchi.site.load import load_site, read_sites, several
from ouchi.site.models import Cpus, Network, Nic, Server, Site, site_schema
from ouchi.site.write import default_site, write_schema

__all__ = [
    "Cpus",
    "Network",
    "Nic",
    "Server",
    "Site",
    "check_against",
    "choose",
    "default_site",
    "load_site",
    "read_sites",
    "several",
    "site_schema",
    "write_schema",
]
