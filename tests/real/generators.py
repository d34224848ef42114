"""What the tests of the generator share: the program with sanitizers, its hugepages, generators, a cable."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from guardian import lent_hugepages
from lab import prepare_cache

from ouchi.machine.local import LocalMachine
from ouchi.measure.generator.frames import Headers
from ouchi.measure.generator.process import Generator, RoutedStream
from ouchi.measure.paths.traffic import read_trial
from ouchi.measure.search.trial import Trial

MARKS = [
    pytest.mark.skipif(os.geteuid() != 0, reason="DPDK wants root for its hugepages"),
    pytest.mark.usefixtures("pages"),
]
HOME = Path(__file__).parents[2]
HEADERS = Headers(
    src_mac="02:00:00:00:00:01", dst_mac="02:00:00:00:00:02", src_ip="198.18.0.1", dst_ip="198.19.0.1", src_port=1024, dst_port=7
)  # fmt: skip


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The generator with AddressSanitizer and UndefinedBehaviorSanitizer, warnings being errors."""
    prepare_cache()
    work = tmp_path_factory.mktemp("generator")
    subprocess.run(
        ["meson", "setup", work, HOME / "generator", "-Db_sanitize=address,undefined", "-Doptimization=1", "-Db_lundef=false"],
        check=True, capture_output=True,
    )  # fmt: skip
    subprocess.run(["ninja", "-C", work], check=True, capture_output=True)
    return f"{work}/ouchi-generator"


@pytest.fixture(scope="module")
def pages() -> Iterator[None]:
    counter = Path("/proc/sys/vm/nr_hugepages")
    with lent_hugepages():
        free = int(re.findall(r"HugePages_Free:\s+(\d+)", Path("/proc/meminfo").read_text())[0])
        counter.write_text(str(int(counter.read_text()) - free + 250))
        yield


Start = Callable[..., Generator]


@pytest.fixture
def start(program: str, tmp_path: Path) -> Iterator[Start]:
    """Start generators; at the end each must have ended well, with nothing for a sanitizer to say."""
    started: list[Generator] = []

    def begin(cpus: tuple[int, ...] = (0, 1), **more: Any) -> Generator:
        folder = tmp_path / str(len(started))
        folder.mkdir()
        # What DPDK and its drivers keep until the end is not ours to free.
        env = {"ASAN_OPTIONS": "detect_leaks=0", "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1"}
        started.append(Generator(LocalMachine(), program, str(folder), cpus, env=env, **more))
        return started[-1]

    yield begin
    for number, generator in enumerate(started):
        generator.close()
        log = (tmp_path / str(number) / "generator.log").read_text()
        assert not [word for word in ("Sanitizer", "runtime error") if word in log], log[-3000:]
        assert not Path(generator.socket).exists()


@pytest.fixture
def cable() -> Iterator[tuple[str, str]]:
    """Two joined interfaces on which nobody else says anything."""
    ends = (f"ouchit{os.getpid() % 10000}a", f"ouchit{os.getpid() % 10000}b")
    subprocess.run(["ip", "link", "add", ends[0], "type", "veth", "peer", "name", ends[1]], check=True)
    try:
        for end in ends:
            Path(f"/proc/sys/net/ipv6/conf/{end}/disable_ipv6").write_text("1")
            subprocess.run(["ip", "link", "set", end, "up"], check=True)
        yield ends
    finally:
        subprocess.run(["ip", "link", "del", ends[0]], check=True)


def trial(generator: Generator, flows: list[RoutedStream], pps: float, **options: Any) -> Trial:
    generator.load(flows)
    result = generator.run([pps] * len(flows), **options)
    return read_trial(result, flows, pps=pps * len(flows), seconds=options.get("seconds", 0))
