"""What all tests share."""

from __future__ import annotations

import os
import time

import pytest
from hypothesis import settings

# Timing says little on a shared machine; nothing is kept in the checkout, a failure prints how to repeat it.
settings.register_profile("quick", max_examples=50, deadline=None, database=None, print_blob=True)
settings.register_profile("thorough", settings.get_profile("quick"), max_examples=250)
settings.load_profile("quick")  # --hypothesis-profile=thorough takes the other


@pytest.fixture
def thorough() -> bool:
    """Whether time is no matter."""
    return settings.get_current_profile_name() == "thorough"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how long everything took, preparation and checks included, when ``run-tests`` started it."""
    if began := os.environ.get("RUN_TESTS_BEGAN"):
        terminalreporter.write_line(f"run-tests: {time.time() - int(began):.0f} s in all")
