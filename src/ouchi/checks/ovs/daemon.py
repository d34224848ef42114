"""ovs-vswitchd: running, built with DPDK, DPDK initialised, and the folder of the vhost-user sockets."""

from __future__ import annotations

from ouchi.checks.model import Fix, Level, Problem, Seen, check, ok, unknown
from ouchi.checks.ovs.answers import NOT_RUNNING, STOPPED, answered, runs, silence, stopped
from ouchi.checks.remedies import APPLY, LOGS, UP, configuring, fix_then, logs
from ouchi.core.errors import Finding, error
from ouchi.live.host import MACHINE, SWITCH, Live
from ouchi.live.ovs import NONE, OURS
from ouchi.plan.target import Target
from ouchi.render.ovs import SWITCH as BINARY
from ouchi.steps import Lasts, file

OWN_MODE = 0o2775
"""Mode of ouchi's own socket folder: QEMU creates sockets in it, and OVS shares its group."""


@check("ovs.running", Level.RUNNING, "ovs-vswitchd runs", SWITCH, MACHINE)
def running(live: Live, target: Target) -> Seen:
    """Look for the process of ovs-vswitchd's pid file. A host without a site file need not have one."""
    switch = live.switch
    lost = "no PMD thread polls the NICs and the guests' rings: every packet is lost, and none is counted"
    if switch.whose == NONE:
        found = "no Open vSwitch runs, so nothing of it was checked"
        if target.new:
            return unknown(f"{found}; next: {UP}")
        return error(
            "no Open vSwitch runs",
            where="ovs-vswitchd",
            found=found,
            expected="a running ovs-vswitchd",
            remedy=UP,
            why=lost,
        )
    if stopped(live):
        return error(
            STOPPED,
            where=f"/proc/{switch.pid}/status",
            found="State: T (stopped)",
            expected="a running process",
            remedy=f"kill -CONT {switch.pid}",
            why=lost,
        )
    restart = UP if switch.whose == OURS else "systemctl restart openvswitch-switch"
    if runs(live) and (reason := silence(live)):
        return error(
            "ovs-vswitchd answers no query",
            where=f"{switch.run}/ovs-vswitchd.{switch.pid}.ctl",
            found=reason,
            expected="an answer within milliseconds",
            remedy=f"what it waits for: {logs(switch)}; then: {restart}",
            why="its main thread is blocked: ports that it serves itself lose packets, and no new flow is set up",
        )
    if runs(live):
        return ok(f"pid {switch.pid}, {'ouchi’s own' if switch.whose == OURS else 'the distribution’s'}")
    if switch.without_shared_data:
        return without_memory(live, target, f"{NOT_RUNNING}: ")
    return error(
        NOT_RUNNING,
        where=f"{switch.run}/ovs-vswitchd.pid",
        found=f"no process {switch.pid}" if switch.pid else "no such file",
        expected="a running ovs-vswitchd",
        remedy=f"{restart}; why it ended: {LOGS}" if switch.whose == OURS else restart,
        why=lost,
    )


def without_memory(live: Live, target: Target, claim: str = "") -> Finding:
    """DPDK found no hugepage for its shared data, on the node of the main thread (``rte_socket_id`` of the main lcore).

    With DPDK 22.11 that ends ovs-vswitchd (a panic), with 24.11 it is an error of each port.
    """
    main = next((one.cpus for one in live.threads if one.pid == one.tid == live.switch.pid and one.cpus), ())
    first = min(main or target.switch_cpus, default=0)
    node = next((cpu.node for cpu in target.facts.cpus if cpu.id == first), 0)
    free = [
        f"{count} of {size // 1024} MiB" for (at, size), (_, count) in live.hugepages.items() if at == node and count
    ]
    config = live.switch.other_config
    restart = UP if live.switch.whose == OURS else f"{APPLY}, then: systemctl restart openvswitch-switch"
    return error(
        f"{claim}DPDK found no hugepage on NUMA node {node}, where ovs-vswitchd's main thread is",
        where=logs(live.switch),
        found=f"Cannot allocate ethdev shared data; free on node {node} now: {', '.join(free) or 'no page'}; "
        f"dpdk-socket-mem={config.get('dpdk-socket-mem', 'not set')}",
        expected=f"free hugepages on node {node} beside those of guests, and memory there in dpdk-socket-mem",
        remedy=f"the plan has them: {restart}",
        why="DPDK keeps the data of all ports on the node of its main thread: without it no NIC works",
    )


@check("ovs.dpdk-build", Level.RUNNING, "ovs-vswitchd is built with DPDK", SWITCH)
@answered()
def dpdk_build(live: Live, _target: Target) -> Seen | None:
    """Look at the program of the process, which Debian and Ubuntu choose by update-alternatives."""
    switch = live.switch
    # ouchi starts its own by path, regardless of the alternative.
    program = switch.program or (switch.alternative if switch.whose != OURS else "")
    if "dpdk" in program or switch.dpdk_initialized:
        return ok(program)
    if not program:
        return unknown("only root sees which program runs: sudo ouchi doctor" if runs(live) else NOT_RUNNING)
    return error(
        "ovs-vswitchd is built without DPDK",
        where="/usr/sbin/ovs-vswitchd",
        found=program,
        expected=BINARY,
        remedy=f"update-alternatives --set ovs-vswitchd {BINARY}; systemctl restart ovs-vswitchd",
        why="every packet is forwarded by the kernel then, at a tenth of the rate",
    )


@check("ovs.dpdk-initialized", Level.RUNNING, "DPDK is initialised in Open vSwitch", SWITCH, MACHINE)
@answered("tables", daemon=True)
def dpdk_initialized(live: Live, _target: Target) -> Seen | None:
    """Look at ``dpdk_initialized`` in the database."""
    switch = live.switch
    if switch.dpdk_initialized:
        return ok(switch.dpdk_version)
    return error(
        "DPDK is not initialised in Open vSwitch",
        where="ovs-vsctl get Open_vSwitch . dpdk_initialized",
        found=f"false; dpdk-init is {switch.other_config.get('dpdk-init', 'not set')}",
        expected="true",
        remedy=configuring(switch) + (f"; why it failed: {LOGS}" if switch.whose == OURS else ""),
        why="without it there are no PMD threads, and no vhost-user port works",
    )


@check("ovs.socket-folder", Level.RUNNING, "QEMU can create its vhost-user sockets", SWITCH)
@answered()
def socket_folder(live: Live, _target: Target) -> Seen | None:
    """Look at owner and mode of the folder in which QEMU creates the sockets that Open vSwitch connects to."""
    switch = live.switch
    mode = OWN_MODE if switch.whose == OURS else 0o755
    exists = bool(switch.sockets_owner)
    found = f"{switch.sockets_owner}, {switch.sockets_mode:o}" if exists else "no such folder"
    if switch.sockets_owner == "libvirt-qemu" and switch.sockets_mode & mode == mode:
        return ok(found)
    if switch.without_qemu:
        return ok("no user libvirt-qemu, so no guest of libvirt's")
    finding = error(
        "QEMU cannot create its vhost-user sockets, or Open vSwitch cannot connect to them",
        where=switch.sockets,
        found=found,
        expected=f"libvirt-qemu, {mode:o}",
        remedy=fix_then(configuring(switch)) if exists else configuring(switch),
        why="a port without its socket stays disconnected: what is sent to the guest is lost and counted nowhere",
    )
    # ouchi's own folder is one of its session, which has no place in the machine's journal.
    lasts = Lasts.PROCESS if switch.whose == OURS else Lasts.REBOOT
    change = file.folder(switch.sockets, owner="libvirt-qemu", mode=mode, lasts=lasts)
    return Problem(finding, Fix(f"{switch.sockets} for libvirt-qemu", (change,)) if exists else None)
