"""Figures of ouchi itself: how long it takes, how much memory and CPU it uses, and where.

They are measured from outside, on the command that a user types, and reported as they are: nothing here
passes or fails. ``docs/figures.md`` says how each is measured.
"""

WORK = "/var/lib/ouchi-benchmark"
"""The benchmarks' own folder: beside the instance's, so that a folder moves between them without being copied."""
