"""A benchmark request."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from ouchi.core.errors import BadInput, Finding, error
from ouchi.measure.generator.rates import parse_rate
from ouchi.measure.generator.streams import Stream
from ouchi.measure.generator.template import DEFAULT, Template
from ouchi.measure.paths.cpus import Placement, choose_placement
from ouchi.measure.paths.path import PATHS, GuestKind, Path, mac_of
from ouchi.measure.paths.wires import Wire
from ouchi.measure.search.extra_tests import NEEDS_RATE, ExtraTest
from ouchi.measure.search.goals import Goal
from ouchi.measure.search.methods import SearchMethod
from ouchi.plan.mempools import MTU
from ouchi.plan.target import Target

FRAME_OVERHEAD = 18
"""Bytes of an untagged frame besides its payload: Ethernet header and FCS."""
MAX_FRAME, JUMBO_MTU = 9000, 9000
"""Bytes of a frame with FCS, and the MTU of ports for frames above Ethernet's."""
ANY_LINE = 10**12
"""bit/s: above any NIC's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchRequest:
    """What ``ouchi bench`` measures.

    ``max_seconds`` bounds one search. ``rates``, each the sum of all directions, are offered for ``seconds`` without a
    search. ``compare_kernel``: the same through the kernel's bridge as well.
    """

    path_name: str = "v2v"
    sizes: tuple[str, ...] = ("64",)
    flows: int = 1
    template: Template = DEFAULT
    goals: tuple[Goal, ...] = ()
    method: SearchMethod = "mlrsearch"
    repeats: int = 4
    bidirectional: bool = True
    max_seconds: float = 120.0
    guest: GuestKind = "testpmd"
    wires: tuple[Wire, ...] = ()
    extra_tests: tuple[ExtraTest, ...] = ()
    rates: tuple[str, ...] = ()
    seconds: float = 10.0
    compare_kernel: bool = False

    @property
    def path(self) -> Path:
        """The path over its wires."""
        return PATHS[self.path_name].over_wires(len(self.wires))

    @property
    def directions(self) -> tuple[tuple[str, str], ...]:
        """The TX and RX port of each direction that is measured."""
        return self.path.directions[: None if self.bidirectional else 1]

    @property
    def mtu(self) -> int:
        """Ethernet's MTU, or one for jumbo frames."""
        return MTU if self.largest_frame <= MTU + FRAME_OVERHEAD else JUMBO_MTU

    @property
    def largest_frame(self) -> int:
        """Bytes with FCS."""
        return max(max(self.template.sizes(size)) for size in self.sizes)

    @property
    def routed(self) -> bool:
        """Whether guests route the frames."""
        return self.guest == "vm" and bool(self.path.guests)

    def stream(self, direction: int, size: str) -> Stream:
        """The stream of a direction (0: from the left) at a frame size, named for its ports. Raises BadInput."""
        tx_port, rx_port = self.path.directions[direction]
        target = mac_of(1 - direction)
        if self.routed:
            first, last = self.path.guests[0][0], self.path.guests[-1][1]
            target = mac_of(self.path.ports.index((first, last)[direction]))
        return self.template.stream(
            direction, f"{tx_port} to {rx_port}", size, flows=self.flows, macs=(mac_of(direction), target)
        )

    def placement(self, target: Target, *, servers_running: bool = False) -> Placement:
        """Where the generator and the guests run on a host with this plan."""
        path, main = self.path, min(target.switch_cpus)
        return choose_placement(
            target.plan, main, directions=len(path.directions), guests=len(path.guests), servers_running=servers_running
        )

    def on_loop(self) -> BenchRequest:
        """The same frames over a ring, without a path."""
        return replace(self, path_name="loop", wires=())

    def on_kernel(self) -> BenchRequest:
        """The same searches through the kernel's bridge."""
        return replace(self, path_name="kernel", compare_kernel=False, extra_tests=(), rates=())

    @property
    def searching(self) -> str:
        """How many searches there are, and for how long at most."""
        count = self.repeats * len(self.sizes) * (1 + self.compare_kernel) if self.goals else 0
        return f"{count}, together at most {count * self.max_seconds / 60:.3g} min" if count else "none"

    def to_json(self) -> dict[str, Any]:
        """The request as shown, and as stored in ``run.json``."""
        template = self.template
        return {
            "frame_sizes": list(self.sizes),
            "flows": self.flows,
            **({"stream": template.description} if template.description else {}),
            **({"stream_notes": [note.claim for note in template.notes]} if template.notes else {}),
            "directions": len(self.directions),
            "goals": [goal.name for goal in self.goals],
            **({"search": self.method} if self.method != "mlrsearch" else {}),
            "repeats": self.repeats,
            **({"guest": self.guest} if self.path.guests else {}),
            **({"wires": [str(wire) for wire in self.wires]} if self.wires else {}),
            **({"rates": [f"{rate} for {self.seconds:g} s" for rate in self.rates]} if self.rates else {}),
            **({"extra_tests": [str(test) for test in self.extra_tests]} if self.extra_tests else {}),
        }


def check_request(request: BenchRequest) -> None:
    """Raise BadInput with the errors that show without looking at the host."""
    for size in request.sizes:
        streams = [request.stream(number, size) for number in range(len(request.directions))]
        for rate in request.rates:  # the line rate of a wire is known when its port is open
            parse_rate(rate, streams[0].mean_size, ANY_LINE if request.path.wired else None, where="--rate")
    if findings := tuple(_conflicts(request)):
        raise BadInput(findings)


def _conflicts(request: BenchRequest) -> Iterator[Finding]:
    if request.largest_frame > MAX_FRAME:
        yield error(
            "no port takes frames of that size",
            where="--size",
            found=f"{request.largest_frame} bytes",
            expected=f"at most {MAX_FRAME} bytes",
        )
    if request.rates and not request.goals:
        tests = [f"--also {test}" for test in request.extra_tests if test.name in NEEDS_RATE]
        if needing := [*tests, *(["--beside-kernel"] if request.compare_kernel else [])]:
            yield error(
                "this is measured at the rate that a search found, and there is no search",
                where="--rate",
                found=", ".join(needing),
                expected="--goal as well, or none of these",
            )
    if request.compare_kernel and request.path_name != "v2v":
        yield error(
            "the kernel's bridge is compared with v2v only",
            where="--beside-kernel",
            found=f"--path {request.path_name}",
        )
    if request.routed and not request.template.routable():
        yield error(
            "a virtual machine does not forward these frames",
            where="--stream",
            found=request.template.description,
            expected="untagged IPv4 between 198.18.0.0/16 and 198.19.0.0/16, or --guest testpmd",
        )
