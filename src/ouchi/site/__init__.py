"""The user's file: one YAML document that says what the host is for, as frozen models.

``load_site`` is the way in from text, ``read_site`` from a machine; both raise one
:class:`~ouchi.errors.BadInput` that carries every error with its line and column. ``check_against`` holds a
site against a machine's facts, ``default_site`` writes the first file.
"""

from ouchi.site.against import check_against
from ouchi.site.load import load_site, read_site
from ouchi.site.models import Cpus, Network, Nic, Port, Server, Site, site_schema
from ouchi.site.values import parse_memory
from ouchi.site.write import default_site

__all__ = [
    "Cpus",
    "Network",
    "Nic",
    "Port",
    "Server",
    "Site",
    "check_against",
    "default_site",
    "load_site",
    "parse_memory",
    "read_site",
    "site_schema",
]
