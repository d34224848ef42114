"""``ouchi bench``: what a path on this host carries, measured with ouchi's own generator."""

from __future__ import annotations

from ouchi.bench.ready import prepare
from ouchi.bench.run import Bench

__all__ = ["Bench", "prepare"]
