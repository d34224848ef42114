"""OVS-DPDK on a host whose node 0 has no memory: DPDK's main lcore cannot be on CPU 0."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from practice import Practice, PracticeRig

from ouchi.rig.hardware import Shape

SHAPE = Shape.MEMORYLESS
pytestmark = pytest.mark.exhaustive


def test_the_switch_runs_where_there_is_memory(rig: PracticeRig, tmp_path: Path) -> None:
    rig.run("systemctl enable --now openvswitch-switch", timeout=120)
    practice = Practice(rig, tmp_path, pf="enp129s0", sriov="enp65s0")
    plan, _ = practice.run("plan")
    assert set(plan["pools"]["pmd"]) | set(plan["pools"]["dedicated"]) <= set(range(6, 12))
    done, output = practice.run_rebooting("apply", "--yes")
    assert done["rebooted"], output
    assert rig.run("ovs-vsctl get Open_vSwitch . dpdk_initialized").stdout == "true\n"
    words = [sys.executable, "-m", "ouchi", "render", "--to", "ovs", "--site", str(practice.site)]
    script = subprocess.run(
        words, env=practice.environment, capture_output=True, text=True, check=True, timeout=60
    ).stdout
    rig.run(f"cat >/root/ovs.sh <<'END'\n{script}\nEND\nsh /root/ovs.sh", timeout=120)
    rig.run("ovs-vsctl --timeout=60 wait-until Interface dpdk0 link_state=up", timeout=90)
    main = rig.run("taskset -cp $(pidof ovs-vswitchd)").stdout.rpartition(":")[2].strip()
    assert min(int(part.partition("-")[0]) for part in main.split(",")) >= 6
    result, _ = practice.run("doctor", status=None)
    assert result["counts"]["errors"] == 0, [check for check in result["checks"] if check["findings"]]
