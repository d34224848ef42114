"""A run in which a search found no rate says why, in every output, and so does a comparison with it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ouchi.core.errors import BadInput
from ouchi.measure.runs.compare import compare_runs
from ouchi.measure.runs.folder import read_run
from ouchi.measure.runs.model import Run, without_rate
from ouchi.report.run.page import page_html
from ouchi.report.run.table import markdown
from ouchi.report.run.terminal import run_text
from tests.runs import MACHINE, write_run


@pytest.fixture(scope="module")
def barren(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Every trial is invalid, as on a machine whose CPUs are taken away all the time."""
    folder = tmp_path_factory.mktemp("runs") / "barren"
    write_run(folder, change=lambda trial: replace(trial, invalid=("the generator stalled for 9 ms",)))
    return read_run(MACHINE, folder)


def test_the_reason_is_in_every_output(barren: Run) -> None:
    assert all(row.median_pps is None for row in barren.summary)
    (reason,) = {bounds.reason for result in barren.results for bounds in result.bounds}
    assert "the generator stalled for 9 ms" in reason
    for text in (run_text(barren, colour=False), markdown(barren), page_html(barren)):
        assert "64 B, NDR: no rate was found in 2 of 2 repeats" in text
        assert reason in text


def test_a_run_with_rates_says_nothing(run: Run) -> None:
    assert without_rate(run.results) == {}


def test_the_comparison_says_truly_why(barren: Run, run: Run, tmp_path: Path) -> None:
    for pair in ((barren, run), (run, barren), (barren, barren)):
        with pytest.raises(BadInput, match="no rate was found in 2 of 2 repeats") as caught:
            compare_runs(*pair)
        assert "in common" not in str(caught.value)
    write_run(tmp_path / "other", sizes=("512",))
    with pytest.raises(BadInput, match="in common"):
        compare_runs(run, read_run(MACHINE, tmp_path / "other"))


def test_a_comparison_needs_no_trials(folder: Path, run: Run) -> None:
    """They are nearly all of a run: reading 10,000 of them takes seconds."""
    without = read_run(MACHINE, folder, with_trials=False)
    assert without.trials == ()
    assert compare_runs(without, without) == compare_runs(run, run)
