"""What all tests share."""

from __future__ import annotations

import os
import time

import pytest
from hypothesis import settings

# Timing says little on a shared machine; nothing is kept in the checkout, a failure prints how to repeat it.
settings.register_profile("ouchi", deadline=None, database=None, print_blob=True)
settings.load_profile("ouchi")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how long everything took, preparation and checks included, when ``run-tests`` started it."""
    if began := os.environ.get("RUN_TESTS_BEGAN"):
        terminalreporter.write_line(f"run-tests: {time.time() - int(began):.0f} s in all")
