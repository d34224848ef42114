"""Benchmarks of ouchi itself: how long it takes, and how much memory and CPU it uses.

Commands are measured from outside, as a user types them, and the figures are only reported: nothing here passes
or fails. ``docs/figures.md`` describes how each figure is measured.
"""

WORK = "/var/lib/ouchi-benchmark"
"""The benchmarks' own folder: beside the instance's, so that a folder moves between them without being copied."""
