"""Tasks side by side: order, failures, Ctrl-C."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from ouchi.core.errors import BadInput, Failed, Interrupted, error
from ouchi.core.events import Notify, Timeline
from ouchi.core.outcome import Outcome, nothing
from ouchi.core.tasks import Task, run_tasks


def isolated() -> Timeline:
    return Timeline(lambda _event: None)


def task(name: str, *needs: str, run: Callable[[Notify], Outcome] = lambda _say: nothing("done")) -> Task:
    return Task("host", name, run, needs)


def test_each_starts_when_what_it_needs_is_done() -> None:
    seen: list[str] = []

    def note(name: str) -> Callable[[Notify], Outcome]:
        def run(_say: Notify) -> Outcome:
            seen.append(name)
            return nothing(name)

        return run

    tasks = [task("c", "a", "b", run=note("c")), task("b", "a", run=note("b")), task("a", run=note("a"))]
    outcomes = run_tasks(tasks, isolated(), lambda: None)
    assert seen == ["a", "b", "c"]
    assert {name: outcome.text for name, outcome in outcomes.items()} == {"a": "a", "b": "b", "c": "c"}


def test_failures_come_together_and_nothing_starts_after() -> None:
    both = threading.Barrier(2)

    def fail(reason: Exception) -> Callable[[Notify], Outcome]:
        def run(_say: Notify) -> Outcome:
            both.wait(5)
            raise reason

        return run

    def never(_say: Notify) -> Outcome:
        raise AssertionError("started")

    tasks = [
        task("a", run=fail(Failed(error("one")))),
        task("b", run=fail(BadInput(error("two")))),
        task("c", "a", run=never),
    ]
    with pytest.raises(BadInput) as caught:
        run_tasks(tasks, isolated(), lambda: None)
    assert {finding.claim for finding in caught.value.findings} == {"one", "two"}


@pytest.mark.parametrize("needs", [("nobody",), ("a",)])
def test_a_table_that_cannot_end_is_refused(needs: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"need"):
        run_tasks([task("a", *needs)], isolated(), lambda: None)


@pytest.fixture
def terminal() -> Iterator[None]:
    """Ctrl-C as in a terminal, also where the tests run in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("terminal")
def test_what_is_ignored_stays_ignored() -> None:
    def press(_say: Notify) -> Outcome:
        os.kill(os.getpid(), signal.SIGINT)
        return nothing("")

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    assert "press" in run_tasks([task("press", run=press)], isolated(), lambda: None)


@pytest.mark.usefixtures("terminal")
def test_interrupted_at_any_moment() -> None:
    """A signal falls between any two steps of the loop; each time the run ends, and as interrupted.

    With Python's own KeyboardInterrupt about one run in a dozen broke a lock or never ended.
    """
    chance = random.Random(20)
    for _ in range(200):
        ended = threading.Event()

        def press(_say: Notify) -> Outcome:
            time.sleep(chance.uniform(0, 0.004))
            os.kill(os.getpid(), signal.SIGINT)
            return nothing("")

        def slow(_say: Notify, ended: threading.Event = ended) -> Outcome:
            if not ended.wait(10):
                raise AssertionError("nobody interrupted")
            return nothing("")

        def stop(ended: threading.Event = ended) -> None:
            os.kill(os.getpid(), signal.SIGINT)  # impatient
            ended.set()

        began = time.monotonic()
        with pytest.raises(Interrupted):
            run_tasks([task("press", run=press), *map(task, "abcdefghij"), task("slow", run=slow)], isolated(), stop)
        assert time.monotonic() - began < 8  # the slow one gives up after 10
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
