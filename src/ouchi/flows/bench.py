"""``ouchi bench``: self-test, open the path, measure each frame size, compare with the kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ouchi.core.errors import Failed, Interrupted
from ouchi.core.events import EventKind, Timeline
from ouchi.core.instance import Instance
from ouchi.flows.bench_prepare import prepare
from ouchi.flows.bench_record import BenchHost, Recorder
from ouchi.flows.bench_size import LADDER, OFFER_ALONE, PROBE_SECONDS, PROBES, SizeBench
from ouchi.live import kvm
from ouchi.machine.background import Launcher
from ouchi.measure.paths.memory import extra_hugepages
from ouchi.measure.paths.open import open_path
from ouchi.measure.paths.warm_up import warm_up
from ouchi.measure.paths.wires import check_wires
from ouchi.measure.request import BenchRequest, check_request
from ouchi.measure.runs.describe import cpu_settings, labels_of
from ouchi.measure.runs.extras import median_sent_pps, self_test_result
from ouchi.measure.runs.folder import require_new
from ouchi.measure.runs.kernel_comparison import compare_results, iperf_results
from ouchi.plan.load import read_target
from ouchi.plan.target import Target


def read_bench_target(machine: Launcher, site_file: str, request: BenchRequest) -> Target:
    """The target of the site file. Raises BadInput for a request that cannot be measured on it."""
    check_request(request)
    target = read_target(machine, site_file)
    check_wires(request.path, request.wires, target.site, target.facts)
    return target


def preview(
    machine: Launcher, instance: Instance, target: Target, request: BenchRequest, *, folder: str
) -> dict[str, Any]:
    """Return what would be measured, and where: the dry run. Changes nothing."""
    plan = target.plan
    servers_running = bool(machine.entries(instance.vhost))
    placement = request.placement(target, servers_running=servers_running)
    pages = extra_hugepages(plan, request, placement.page_kib)
    # KVM is probed by starting a guest; without a result yet, emulation is assumed.
    emulated = not kvm.known(machine, instance)
    labels = labels_of(target, request, placement, servers_running=servers_running, emulated=emulated)
    return {
        "path": request.path.name,
        **request.to_json(),
        "searches": request.searching,
        **cpu_settings(plan, request, placement),
        "more_hugepages": f"{pages * placement.page_kib // 1024} MiB",
        "labels": list(labels),
        "folder": folder,
    }


def bench(
    machine: Launcher,
    instance: Instance,
    target: Target,
    request: BenchRequest,
    *,
    folder: str,
    timeline: Timeline,
    interrupt: Callable[[], None],
) -> bool:
    """Measure a request; True when everything was measured. The results so far are in ``folder``, also after Ctrl-C."""
    require_new(machine, folder)
    artifacts = prepare(machine, instance, target, request, timeline=timeline, interrupt=interrupt)
    host = BenchHost(machine=machine, instance=instance, target=target, artifacts=artifacts, timeline=timeline)
    recorder = Recorder(host, request, folder)
    timeline.emit(EventKind.NOTE, "bench", "searches", f"searches: {request.searching}")
    with recorder.finishing():
        _measure(recorder)
        if request.compare_kernel and not recorder.interrupted:
            _compare_with_kernel(recorder)
    if recorder.interrupted:
        raise Interrupted.of(
            "interrupted", where=folder, remedy=f"the measurements so far are stored: ouchi report {folder}"
        )
    return recorder.complete


def _measure(recorder: Recorder) -> None:
    """Self-test, then the path at each frame size."""
    host, request = recorder.host, recorder.request
    placement = host.placement(request)
    with host.more_hugepages(request):
        alone = _self_test(recorder) if request.path.links else {}
        with open_path(host.machine, host.instance, host.artifacts, request, placement=placement) as path:
            recorder.writer.attach("counters-before", path.datapath.counters())
            for size in request.sizes:
                warm_up(path, size)
                traffic = path.traffic(size, bidirectional=request.bidirectional)
                SizeBench(recorder, size, traffic, placement, alone.get(size, 0.0)).measure()
                if recorder.interrupted:
                    break
            recorder.writer.attach("counters-after", path.datapath.counters())


def _self_test(recorder: Recorder) -> dict[str, float]:
    """The generator over a ring: its maximum rate (pps) at each frame size. Raises Failed when its counters err."""
    host, request = recorder.host, recorder.request.on_loop()
    placement = host.placement(recorder.request)
    alone: dict[str, float] = {}
    with open_path(host.machine, host.instance, host.artifacts, request, placement=placement) as path:
        for size in request.sizes:
            with recorder.task(f"{size} B, generator over a ring") as say:
                traffic = path.traffic(size, bidirectional=True)
                alone[size] = median_sent_pps([traffic.trial(0, PROBE_SECONDS, "unpaced") for _ in range(PROBES)])
                if not alone[size]:
                    raise Failed.of("the generator sends nothing over a ring", remedy="ouchi bench --path loop")
                for share in LADDER:
                    trial = traffic.trial(OFFER_ALONE * share * alone[size], 1.0, "self-test")
                    if trial.valid:
                        break
                row = self_test_result(size, alone[size], trial)
                recorder.extras.append(row)
                say(f"{alone[size] / 1e6:.1f} Mpps; {row.text}")
    return alone


def _compare_with_kernel(recorder: Recorder) -> None:
    """The same searches through the kernel's bridge, as a run in the folder ``kernel``, then iperf3."""
    host, request = recorder.host, recorder.request.on_kernel()
    kernel = Recorder(host, request, f"{recorder.folder}/kernel")
    with kernel.finishing():
        _measure(kernel)
    recorder.complete = recorder.complete and kernel.complete
    recorder.interrupted = kernel.interrupted
    if recorder.interrupted:
        return
    placement = host.placement(recorder.request)
    recorder.add_extras(compare_results(recorder.results, kernel.results, placement, host.target.plan))
    with recorder.task("iperf3 through the kernel's bridge") as say:
        for row in iperf_results(host.machine, host.instance, request, host.placement(request), say):
            recorder.extras.append(row)
