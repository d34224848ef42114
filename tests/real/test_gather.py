"""The hosts of the test cases, gathered by the very script: their files lie over this machine's own while it runs."""

from __future__ import annotations

import os
import subprocess

import pytest

from ouchi.facts import collect
from ouchi.machine.gather import new_mark, read_gathered
from ouchi.machine.sh import script
from ouchi.machine.snapshot import open_snapshot
from tests.hosts import CASES, folder, names

if os.geteuid() != 0:
    pytest.skip("mounts need root", allow_module_level=True)

OVER = """
host=$1
shift
[ ! -e "$host/etc/os-release" ] || mount --bind "$host/etc/os-release" "$(readlink -f /etc/os-release)" || exit
mount --bind "$host/sys" /sys && mount --bind "$host/proc" /proc && exec "$@"
"""


@pytest.mark.parametrize("name", [name for name in names() if (CASES / name / "host.yaml").exists()])
def test_a_host_gathered_is_the_host(name: str) -> None:
    host = folder(name)
    mark = new_mark()
    words = ["unshare", "--mount", "--propagation", "private", "sh", "-c", OVER, "sh", str(host)]
    done = subprocess.run(
        [*words, "sh", "-c", script("gather"), "sh", mark], capture_output=True, timeout=120, check=True
    )
    there = collect(read_gathered(done.stdout, mark, name)).to_json()
    here = collect(open_snapshot(str(host))).to_json()
    for facts in (there, here):
        # Programs, libraries and /dev are this machine's, and its kernel knows no interfaces of these names.
        for key in ("dpdk", "ovs_version"):
            facts.pop(key)
        facts["system"].pop("kvm_device")
        for nic in facts["nics"]:
            for key in ("firmware", "rx_queues", "tx_queues"):
                nic.pop(key)
    assert there == here
