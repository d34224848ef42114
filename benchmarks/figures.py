"""The figures, their targets, and the table of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

GB = 10**9


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure: a short name, a title, its unit, significant decimals, and its target.

    The target is an upper bound, or with ``at_least`` a lower bound.
    """

    name: str
    title: str
    unit: str
    decimals: int
    target: float | None = None
    at_least: bool = False

    def text(self, value: float) -> str:
        """Format a value with the decimals of this figure."""
        return f"{value:.{self.decimals}f}"


FIGURES = (
    Figure("help", "`ouchi --help`, CPU", "s", 3, 0.12),
    Figure("version", "`ouchi --version`, CPU", "s", 3, 0.15),
    Figure("fresh", "First `up` on a fresh machine, downloads included", "s", 1, 480),
    Figure("prepared", "From prepared packages to servers ACTIVE and pinging", "s", 1, 150),
    Figure("prepared-whole", "The same `up` to its summary (iperf3 included)", "s", 1),
    Figure("resume", "`up` after `down`, until pinging", "s", 1),
    Figure("resume-whole", "The same `up` to its summary (iperf3 included)", "s", 1),
    Figure("nothing", "`up` with nothing to do", "s", 2, 2),
    Figure("nothing-cpu", "`up` with nothing to do, CPU", "s", 2),
    Figure("doctor", "`doctor` on a host that is up", "s", 2, 2),
    Figure("doctor-cpu", "`doctor` on a host that is up, CPU", "s", 2),
    Figure("down", "`down`", "s", 1, 20),
    Figure("plan-one", "One host planned from its snapshot, beyond start-up", "ms", 1, 50),
    Figure("plan-big", "The same with 1024 CPUs and 64 NICs", "ms", 0, 200),
    Figure("plan-many", "10,000 hosts planned from their snapshots, two processes", "s", 1, 60),
    Figure("plan-memory", "The larger of those processes at its end", "MB", 0),
    Figure("inspect", "`inspect` of this machine", "s", 2),
    Figure("remote-inspect", "`inspect` of a host over ssh (loopback), connection and login included", "s", 2),
    Figure("remote-round-trips", "its round trips, login included", "", 0),
    Figure("remote-many", "`inspect` of 50 hosts over ssh in parallel", "s", 1),
    Figure("remote-many-cpu", "the same, CPU of the command and its ssh", "s", 1),
    Figure("rig-up", "The rig from its saved state to ssh", "s", 1, 20),
    Figure("rig-boot", "A cold boot of the rig, by BIOS and GRUB, until all its services run", "s", 1),
    Figure("rig-fault", "Attempts of a cold boot that failed", "", 0),
    Figure("traffic-sends", "Generator: 64 B frames sent by one core into net_null", "Mpps", 1, 14.88, at_least=True),
    Figure("testpmd-sends", "testpmd txonly (no sequence numbers, no timestamps), alternately", "Mpps", 1),
    Figure("traffic-receives", "Generator: received and checked by one core", "Mpps", 1, 12, at_least=True),
    Figure("traffic-rounds", "Generator: sent, received and checked by a single core", "Mpps", 1),
    Figure("traffic-rate-error", "Generator: error of rates from 1 kpps to 90 % of the maximum", "%", 3, 0.1),
    Figure(
        "traffic-billion",
        "Generator: a billion frames through a ring, wrongly lost, duplicated or reordered",
        "frames",
        0,
    ),
    Figure("traffic-start", "Generator: from its start to the first frame", "s", 2, 1.5),
    Figure("v2v-most", "`bench` v2v: maximum rate accepted by OVS, sum of both directions", "Mpps", 2),
    Figure("v2v-busy", "PMD thread busy meanwhile", "%", 1, 95, at_least=True),
    Figure("v2v-cycles", "PMD thread cycles per frame", "", 0),
    Figure("v2v-ndr", "`bench` v2v: zero-loss rate, sum of both directions", "Mpps", 2),
    Figure("v2v-ndr-off", "distance of each search from the median", "%", 1, 2),
    Figure("v2v-ndr-seconds", "duration of one search", "s", 0, 60),
    Figure("kernel-64", "the same, 64 B, through the kernel's bridge", "Mpps", 2),
    Figure("kernel-1518", "the same, 1518 B, through the kernel's bridge", "Mpps", 2),
    Figure("kernel-ratio-64", "64 B: ratio of OVS-DPDK to the kernel's bridge, with one CPU more", "", 1),
    Figure("kernel-ratio-1518", "1518 B: the same", "", 1),
    Figure("memory", "Memory (PSS) without guests and hugepages", "GB", 3, 2.0),
)


def spread(figure: Figure, samples: Sequence[float]) -> str:
    """``median (min–max) unit``; a single sample stands alone."""
    if len(samples) == 1:
        return f"{figure.text(samples[0])} {figure.unit}"
    low, high = figure.text(min(samples)), figure.text(max(samples))
    return f"{figure.text(median(samples))} ({low}–{high}) {figure.unit}"


def ratio(figure: Figure, samples: Sequence[float]) -> str:
    """The median as a multiple of the target; empty without one."""
    return f"{median(samples) / figure.target:.2f}" if figure.target else ""


def table(samples: Mapping[str, Sequence[float]]) -> str:
    """A Markdown table of every figure that has samples; raises :class:`KeyError` for an unknown figure."""
    known = {figure.name for figure in FIGURES}
    if strange := set(samples) - known:
        raise KeyError(", ".join(sorted(strange)))
    lines = [
        "| Figure | Target | Measured: median (min–max) | n | Median / target |",
        "|---|---|---|---|---|",
    ]
    for figure in FIGURES:
        if values := samples.get(figure.name):
            sign = "≥" if figure.at_least else "≤"
            target = f"{sign} {figure.target:g} {figure.unit}" if figure.target else ""
            cells = (figure.title, target, spread(figure, values), str(len(values)), ratio(figure, values))
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
