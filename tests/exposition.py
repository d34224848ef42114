"""Prometheus' text format, read with every rule that node_exporter's collector insists on."""

from __future__ import annotations

import math
import re
from collections import Counter

SAMPLE = re.compile(
    r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*",?)*)\})? (\S+)'
)
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"')

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def check_exposition(text: str) -> Samples:
    """The samples of a text in Prometheus' format 0.0.4, which keeps every rule that the collector insists on."""
    assert text.endswith("\n")
    samples: Samples = {}
    kind: dict[str, str] = {}
    family = ""
    for line in text.splitlines():
        if line.startswith("# HELP "):
            family = line.split(" ")[2]
            assert family not in kind
        elif line.startswith("# TYPE "):
            _, _, name, kind[name] = line.split(" ")
            assert name == family
            assert kind[name] in ("gauge", "summary")
        else:
            matched = SAMPLE.fullmatch(line)
            assert matched, line
            name, labels, value = matched.groups()
            parts = ("", "_sum", "_count") if kind[family] == "summary" else ("",)
            assert name in {family + part for part in parts}
            assert name.startswith("ouchi_bench_")
            reported = [(key, unescaped(value)) for key, value in LABEL.findall(labels)]
            assert max(Counter(key for key, _ in reported).values()) == 1
            key = (name, frozenset(reported))
            assert key not in samples
            samples[key] = float(value)
            assert not math.isnan(samples[key])
    return samples


def unescaped(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: {"n": "\n"}.get(found[1], found[1]), text)


def sample(samples: Samples, name: str, **labels: str) -> list[float]:
    """The values of a metric that has these labels among its own."""
    return [
        value for (found, own), value in samples.items() if found == f"ouchi_bench_{name}" and labels.items() <= own
    ]
