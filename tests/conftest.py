"""What all tests share."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from hypothesis import settings

# Timing says little on a shared machine; nothing is kept in the checkout, a failure prints how to repeat it.
settings.register_profile("quick", max_examples=50, deadline=None, database=None, print_blob=True)
settings.register_profile("thorough", settings.get_profile("quick"), max_examples=250)
settings.load_profile("quick")  # --hypothesis-profile=thorough takes the other

COUNTS, BEGAN = (os.environ.pop(name, "") for name in ("RUN_TESTS_COUNTS", "RUN_TESTS_BEGAN"))
"""For this process alone, not for a pytest that a test runs."""


@pytest.fixture
def thorough() -> bool:
    """Whether time is no matter."""
    return settings.get_current_profile_name() == "thorough"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell ``tests/suite.py`` how many tests passed, failed and were skipped; without it, say how long it all took."""
    if COUNTS:
        stats = terminalreporter.stats
        outcomes = {"passed": ("passed", "xfailed"), "failed": ("failed", "error", "xpassed"), "skipped": ("skipped",)}
        counts = {name: sum(len(stats.get(kind, ())) for kind in kinds) for name, kinds in outcomes.items()}
        Path(COUNTS).write_text(json.dumps(counts))
    elif BEGAN:
        terminalreporter.write_line(f"run-tests: {time.time() - int(BEGAN):.0f} s in all")
