"""What ``up`` checks at its end, on live readings of hosts."""

from __future__ import annotations

from collections.abc import Mapping

from ouchi.checks.guests_old import Domain, check_guests
from tests.live import GUEST_PID, case


class Tasks:
    """A machine with nothing but the threads of one process."""

    def __init__(self, statuses: Mapping[str, str]) -> None:
        self.statuses = statuses

    def entries(self, _path: str) -> list[str]:
        return list(self.statuses)

    def read(self, path: str) -> str:
        return self.statuses.get(path.split("/")[-2], "Shared_Hugetlb: 4194304 kB\n")


def test_kvms_recovery_thread_is_no_emulator_thread() -> None:
    """KVM's own thread in a QEMU process (Linux 6.13 and later) is judged by ``up`` as by doctor: not at all."""
    found = case("kvm-recovery-thread")
    threads = [thread for thread in found.live.threads if thread.pid == GUEST_PID]
    statuses = {
        str(one.tid): f"Name:\t{one.name}\nCpus_allowed_list:\t{','.join(map(str, one.cpus))}\n" for one in threads
    }
    (guest,) = found.target.plan.guests[:1]
    domain = Domain(guest.name, "", GUEST_PID, tuple(one.tid for one in threads if one.vcpu), ("vhostuser",))
    checks = check_guests(Tasks(statuses), found.target.plan, [domain])  # type: ignore[arg-type]
    (emulator,) = [check for check in checks if check.name == f"{guest.name}: emulator threads run on the shared pool"]
    assert emulator.ok, emulator
