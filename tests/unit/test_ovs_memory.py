"""Why ovs-vswitchd does not start: DPDK without memory on the node of the main thread, as its log has it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ouchi.core.instance import Instance
from ouchi.live.ovs import lacks_shared_data
from ouchi.machine.local import LocalMachine
from ouchi.parts.ovs import cause_of_failure
from tests.live import case

START = "2026-01-01T00:00:00.000Z|00010|dpdk|INFO|DPDK Enabled - initializing...\n"
PANIC = "2026-01-01T00:00:00.100Z|00031|dpdk|EMER|PANIC in eth_dev_shared_data_prepare():\n2026-01-01T00:00:00.100Z|00032|dpdk|EMER|Cannot allocate ethdev shared data\n"


@pytest.mark.parametrize(
    ("log", "lacks"),
    [
        ("", False),
        (START, False),
        (START + PANIC, True),
        (PANIC, True),  # the start is before the part that was read
        (START + PANIC + START, False),
        (START + START + PANIC, True),
    ],
)
def test_what_an_earlier_start_logged_does_not_count(log: str, lacks: bool) -> None:
    assert lacks_shared_data(log) is lacks


@pytest.mark.parametrize("log", [START + PANIC, START, ""])
def test_up_names_the_cause_that_the_log_has(tmp_path: Path, log: str) -> None:
    """The end of the log is read by the script that runs on every host."""
    instance = Instance(run=f"{tmp_path}/run", logs=f"{tmp_path}/log", state=f"{tmp_path}/state")
    for folder in (instance.ovs, instance.logs):
        Path(folder).mkdir(parents=True)
    Path(instance.ovs, "ovs-vswitchd.pid").write_text("")
    Path(instance.logs, "ovs-vswitchd.log").write_text("x" * 100_000 + "\n" + log)
    cause = cause_of_failure(LocalMachine(), instance, case("healthy").target)
    if PANIC not in log:
        assert cause is None
    else:
        assert cause
        assert cause.claim.startswith("ovs-vswitchd does not start: DPDK found no hugepage on NUMA node 0")
        assert cause.remedy.endswith("ouchi up")
