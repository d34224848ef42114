"""Where a plan says that guests' vCPUs will be is where nova's own code puts them, on every recorded host.

nova runs in OpenStack's own environment and gets the host as libvirt describes it: cells, CPUs and their siblings.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from keeper import CACHE
from lab import prepare_cache

from ouchi.facts import Facts, collect
from ouchi.plan import Plan, make_plan
from ouchi.site import load_site
from tests.hosts import CASES, names, reader

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="OpenStack's environment is made by root")

NOVA = """
import json, sys
from types import SimpleNamespace as Like
from nova import objects
from nova.conf import CONF, neutron
from nova.objects import instance_numa
from nova.virt import hardware
from nova.virt.libvirt import config
from nova.virt.libvirt.driver import LibvirtDriver

objects.register_all()
CONF([], project="nova", default_config_files=[], default_config_dirs=[])
neutron.register_dynamic_opts(CONF)
answers = {}
for name, host in json.load(sys.stdin).items():
    caps = config.LibvirtConfigCaps()
    caps.parse_str(host["capabilities"])
    driver = Like(
        _has_numa_support=lambda: True, _host=Like(get_capabilities=lambda caps=caps: caps), _reserved_hugepages={},
        _get_vcpu_available=lambda host=host: set(host["shared"]),
        _get_pcpu_available=lambda host=host: set(host["dedicated"]),
    )
    cells = {cell.id: cell for cell in LibvirtDriver._get_host_numa_topology(driver).cells}
    answers[name] = []
    for node, vcpus in host["guests"]:
        guest = instance_numa.InstanceNUMACell(
            id=0, cpuset=set(), pcpuset=set(range(vcpus)), memory=0, cpu_policy="dedicated", cpu_thread_policy=None
        )
        pinning = hardware._pack_instance_onto_cores(cells[node], guest, 0).cpu_pinning
        cells[node].pin_cpus(set(pinning.values()))
        answers[name].append([pinning[vcpu] for vcpu in sorted(pinning)])
print(json.dumps(answers))
"""


def capabilities(facts: Facts) -> str:
    """What libvirt says of a host, as far as nova asks for it here."""
    cells = ""
    for node in sorted({cpu.node for cpu in facts.cpus if cpu.online}):
        cpus = "".join(
            f'<cpu id="{cpu.id}" socket_id="{cpu.package}" core_id="{cpu.core}" '
            f'siblings="{",".join(map(str, sorted(cpu.siblings)))}"/>'
            for cpu in facts.cpus
            if cpu.online and cpu.node == node
        )
        cells += f'<cell id="{node}"><memory unit="KiB">1</memory><cpus>{cpus}</cpus></cell>'
    return (
        "<capabilities><host><uuid>x</uuid><cpu><arch>x86_64</arch></cpu>"
        f"<topology><cells>{cells}</cells></topology></host></capabilities>"
    )


def test_guests_are_where_nova_puts_them() -> None:
    prepare_cache()
    plans: dict[str, Plan] = {}
    hosts: dict[str, Any] = {}
    for name in names():
        facts = collect(reader(name))
        site = load_site((CASES / name / "site.yaml").read_bytes(), "site.yaml")
        plan = plans[name] = make_plan(site, facts)
        hosts[name] = {
            "capabilities": capabilities(facts),
            "shared": plan.pools.shared,
            "dedicated": plan.pools.dedicated,
            "guests": [(guest.node, guest.vcpus) for guest in plan.guests if guest.pinned],
        }
    python = Path(CACHE / "openstack" / "bin" / "python")
    done = subprocess.run(
        [python, "-c", NOVA], input=json.dumps(hosts), capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    answers = json.loads(done.stdout.splitlines()[-1])
    found = {name: [list(guest.cpus) for guest in plan.guests if guest.pinned] for name, plan in plans.items()}
    assert found == answers
    assert sum(map(len, found.values())) > 20
