"""A host's live state and its checks as Prometheus metrics, by prometheus_client."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ouchi import __version__
from ouchi.checks.diagnosis import Diagnosis, Health
from ouchi.checks.model import Result
from ouchi.checks.ovs.answers import runs
from ouchi.core.errors import Severity
from ouchi.live.host import READINGS, Live
from ouchi.report.text import clean

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

Sample = tuple[Sequence[str], float]
"""The values of a metric's labels, and its own."""


@dataclass(frozen=True, slots=True)
class HostReading:
    """A host at one moment: its live state, the checks (None where its plan cannot be made), how long that took."""

    live: Live
    diagnosis: Diagnosis | None
    seconds: float


def metrics_text(reading: HostReading, accept: str = "") -> tuple[bytes, str]:
    """The exposition in the format that an Accept header prefers, and its content type."""
    from prometheus_client import CollectorRegistry
    from prometheus_client.exposition import choose_encoder

    class Collector:
        def collect(self) -> Iterator[Metric]:
            return (metric for metric in _metrics(reading) if metric.samples)

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collector())
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


def _metrics(reading: HostReading) -> Iterator[Metric]:
    live = reading.live
    yield _gauge("info", "Always 1.", ("version",), [((__version__,), 1)])
    yield _gauge("reading_duration_seconds", "How long this reading of the host took.", (), [((), reading.seconds)])
    read = [((name,), name not in live.missing) for name in READINGS]
    yield _gauge("reading_success", "Whether a part of the host could be read.", ("reading",), read)
    yield _gauge("plan_readable", "Whether the plan could be made.", (), [((), reading.diagnosis is not None)])
    if reading.diagnosis:
        yield from _checks(reading.diagnosis)
    yield from _switch(live)
    sizes = [((str(node), str(kib * 1024)), counts) for (node, kib), counts in sorted(live.hugepages.items())]
    labels = ("node", "size_bytes")
    yield _gauge("hugepages", "Reserved hugepages.", labels, [(values, total) for values, (total, _) in sizes])
    yield _gauge("hugepages_free", "Free hugepages.", labels, [(values, free) for values, (_, free) in sizes])
    ours = [guest for guest in live.guests if guest.ours]
    if "machine" not in live.missing:
        yield _gauge("guests", "Running guests.", (), [((), len(ours))])
    memory = [
        ((guest.name, guest.domain), guest.hugepages_mib * 2**20) for guest in ours if guest.hugepages_mib is not None
    ]
    yield _gauge("guest_hugepages_bytes", "Memory of a guest in hugepages.", ("guest", "domain"), memory)


def _checks(diagnosis: Diagnosis) -> Iterator[Metric]:
    states = [((health.value,), health is diagnosis.health) for health in Health]
    yield _gauge("health", "What all checks come to: 1 for the state that holds.", ("health",), states)
    labels = ("check", "level")
    unknown = [((check.id, check.level.value), check.result is Result.UNKNOWN) for check in diagnosis.checks]
    yield _gauge("check_unknown", "Whether a check could not be evaluated.", labels, unknown)
    findings = [
        (
            (check.id, check.level.value, severity.value),
            sum(finding.severity is severity for finding in check.findings),
        )
        for check in diagnosis.checks
        for severity in Severity
    ]
    yield _gauge("check_findings", "How many findings a check has.", (*labels, "severity"), findings)


def _switch(live: Live) -> Iterator[Metric]:
    switch, counters = live.switch, live.counters
    if not {"machine", "switch"} & live.missing.keys():
        text = "Whether ovs-vswitchd runs: ouchi's own, or the distribution's."
        yield _gauge("vswitchd_running", text, ("whose",), [((switch.whose,), runs(live))])
    pmds = [((str(cpu), str(pmd.node)), pmd) for cpu, pmd in sorted(counters.pmds_after.items())]
    for name, text in (
        ("busy", "TSC cycles in which a PMD thread processed packets."),
        ("idle", "TSC cycles in which a PMD thread polled in vain."),
    ):
        cycles = [(labels, getattr(pmd, name)) for labels, pmd in pmds]
        yield _counter(f"pmd_{name}_cycles", text, ("cpu", "node"), cycles)
    text = "Packets that a PMD thread received."
    yield _counter("pmd_received_packets", text, ("cpu", "node"), [(labels, pmd.packets) for labels, pmd in pmds])
    bridges = {port.name: port.bridge for port in switch.ports}
    ports = [((port.name, bridges.get(port.name, ""), port.kind), port) for port in counters.after.values()]
    for direction, name in (("rx", "receive"), ("tx", "transmit")):
        for member, unit, text in (
            ("packets", "packets", "Packets"),
            ("bytes", "bytes", "Bytes"),
            ("dropped", "drops", "Dropped packets"),
        ):
            counts = [(labels, getattr(port, f"{direction}_{member}")) for labels, port in ports]
            text = f"{text} in the {name} direction of a port, as Open vSwitch sees it."
            counted = [(labels, count) for labels, count in counts if count is not None]
            yield _counter(f"port_{name}_{unit}", text, ("port", "bridge", "type"), counted)


def _gauge(name: str, text: str, labels: Sequence[str], samples: Iterable[Sample]) -> Metric:
    from prometheus_client.core import GaugeMetricFamily

    return _filled(GaugeMetricFamily(f"ouchi_{name}", text, labels=labels), samples)


def _counter(name: str, text: str, labels: Sequence[str], samples: Iterable[Sample]) -> Metric:
    from prometheus_client.core import CounterMetricFamily

    return _filled(CounterMetricFamily(f"ouchi_{name}", text, labels=labels), samples)


def _filled(family: Metric, samples: Iterable[Sample]) -> Metric:
    """With each sample, once for the same labels: two ports of different datapaths cannot have one name."""
    for values, value in dict(samples).items():
        family.add_metric([clean(text) for text in values], float(value))  # type: ignore[attr-defined]
    return family
