"""The page of a run in a real browser: drawn, whole, usable, and without a single request or complaint."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import installed
import pytest
from browser import Browser

from ouchi.machine.local import LocalMachine
from ouchi.measure.runs.folder import read_run, read_run_plan
from ouchi.measure.runs.model import Run
from ouchi.measure.search.goals import NDR, PDR, RFC2544
from ouchi.report.run.page import page_html
from ouchi.report.run.table import summary_table
from ouchi.report.run.units import rate_text
from tests.plans import target_of
from tests.runs import LABELS, write_run

HOSTILE = "</title></script><script>document.title='taken'</script><img src=http://192.0.2.1/x onerror=document.title='taken'>"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for all; the distribution's, installed when it is not there."""
    installed.require(installed.BROWSER)
    with Browser(tmp_path_factory.mktemp("browser") / "profile") as found:
        yield found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("runs") / "run"
    writer = write_run(found, sizes=("64", "imix"), repeats=3, goals=(NDR, PDR, RFC2544), fault="stalled")
    target = target_of("core-i5-13500")
    writer.attach("plan", target.plan.to_json())
    writer.attach("facts", target.facts.to_json())
    return found


@pytest.fixture(scope="module")
def run(folder: Path) -> Run:
    return read_run(LocalMachine(), folder)


@pytest.fixture(scope="module")
def page(folder: Path, run: Run) -> Path:
    (folder / "report.html").write_text(page_html(run, read_run_plan(LocalMachine(), folder)))
    return folder / "report.html"


def complaints(browser: Browser) -> list[dict[str, Any]]:
    """What the console text, and what the policy or a script stumbled over."""
    kinds = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")
    return [event["params"] for event in browser.events if event["method"] in kinds]


def requests(browser: Browser) -> list[str]:
    """What was asked for, but for what stands in the page itself."""
    requested = [
        event["params"]["request"]["url"] for event in browser.events if event["method"] == "Network.requestWillBeSent"
    ]
    return [url for url in requested if not url.startswith("data:")]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [375, 600, 1200])
def test_the_page_is_whole_and_logs_nothing(browser: Browser, page: Path, run: Run, width: int, scheme: str) -> None:
    browser.open(page, width, scheme)
    assert requests(browser) == [page.as_uri()]
    assert complaints(browser) == []
    assert browser.ask("document.documentElement.scrollWidth") == width  # nothing sticks out
    wide = "document.querySelector('.summary').parentElement"
    assert browser.ask(f"{wide}.scrollWidth <= {wide}.clientWidth")  # nor is the first table cut
    assert browser.ask("document.querySelector('.headline strong').innerText") == rate_text(run.summary[0].median_pps)
    plan = "document.querySelector('img.plan')"
    assert browser.ask(f"{plan}.decode().then(() => {plan}.naturalWidth > 600 && {plan}.width <= {width})")
    rows = browser.ask(
        "[...document.querySelectorAll('.summary tr')].map(row => [...row.cells].map(cell => cell.innerText))"
    )
    table = summary_table(run)
    assert rows == [list(row) for row in (table.columns, *table.rows)]
    assert browser.ask("[...document.querySelectorAll('.labels li')].map(each => each.innerText)") == list(LABELS)
    assert browser.ask("document.querySelectorAll('#trials tbody tr').length") == len(run.trials)


def test_charts_are_drawn_within_their_frames(browser: Browser, page: Path) -> None:
    browser.open(page)
    charts = browser.ask("""[...document.querySelectorAll('figure')].map(figure => {
        const frame = figure.querySelector('svg').getBoundingClientRect();
        const inside = box => box.left >= frame.left - 1 && box.right <= frame.right + 1
            && box.top >= frame.top - 1 && box.bottom <= frame.bottom + 1;
        const boxes = [...figure.querySelectorAll('svg *')].map(part => part.getBoundingClientRect());
        const mark = figure.querySelector('.mark');
        return {
            title: figure.querySelector('h3').innerText, size: [frame.width, frame.height],
            marks: figure.querySelectorAll('.mark').length, outside: boxes.filter(box => !inside(box)).length,
            colour: getComputedStyle(mark).fill, written: [...figure.querySelectorAll('text')].map(each => each.textContent),
        };
    })""")
    titles = [chart["title"] for chart in charts]
    for kind in ("Loss", "Latency", "Losses over time", "Load of each core"):
        assert f"{kind}, 64-byte frames" in titles
        assert f"{kind}, imix frames" in titles
    assert titles[:2] == ["Rates found", "Stalls of the generator"]
    for chart in charts:
        assert chart["size"][0] > 400
        assert chart["marks"] > 0
        assert chart["outside"] == 0, chart["title"]
        assert chart["colour"] != "rgb(0, 0, 0)"
        assert len(chart["written"]) > 5


def test_texts_beside_the_axes_do_not_overlap(browser: Browser, page: Path) -> None:
    for width in (600, 1200):
        browser.open(page, width)
        overlapping = browser.ask("""[...document.querySelectorAll('svg')].flatMap(svg => {
            const ticks = [...svg.querySelectorAll('.tick')].filter(tick => tick.textContent);
            const boxes = ticks.map(tick => tick.getBoundingClientRect());
            return boxes.flatMap((a, i) => boxes.slice(i + 1).filter(b => a.left < b.right && b.left < a.right
                && a.top + 2 < b.bottom && b.top + 2 < a.bottom).map(() => ticks[i].textContent));
        })""")
        assert overlapping == []


def test_light_and_dark_are_what_the_reader_likes(browser: Browser, page: Path) -> None:
    looks = {}
    for scheme, media in (("light", "screen"), ("dark", "screen"), ("dark", "print")):
        browser.open(page, scheme=scheme, media=media)
        style = "getComputedStyle(document.body)"
        ink, paper = (luminance(browser.ask(f"{style}.{name}")) for name in ("color", "backgroundColor"))
        assert (max(ink, paper) + 0.05) / (min(ink, paper) + 0.05) > 7  # WCAG's strictest contrast
        looks[scheme, media] = paper
    assert looks["light", "screen"] == looks["dark", "print"] > 0.9 > 0.1 > looks["dark", "screen"]


def luminance(colour: str) -> float:
    """Relative luminance of ``rgb(r, g, b)`` (WCAG 2)."""
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_a_mark_says_what_it_is(browser: Browser, page: Path) -> None:
    browser.open(page)
    assert browser.ask("document.getElementById('tip').hidden")
    mark = "document.querySelectorAll('figure')[2].querySelector('.mark.cross')"
    browser.ask(f"{mark}.scrollIntoView({{block: 'center'}})")
    browser.ask("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    x, y = browser.ask(
        f"(() => {{ const box = {mark}.getBoundingClientRect(); return [box.x + box.width / 2, box.y + 4]; }})()"
    )
    browser.point(x + 1, y)
    text = browser.ask("document.getElementById('tip').innerText")
    assert text.startswith("trial ")
    assert "tester suspect: the generator stalled" in text
    box = browser.ask("document.getElementById('tip').getBoundingClientRect().toJSON()")
    assert box["left"] >= 0
    assert box["right"] <= 1200
    assert box["top"] >= 0
    browser.point(2, 2)
    assert browser.ask("document.getElementById('tip').hidden")


def test_the_keyboard_walks_from_mark_to_mark(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.ask("document.querySelector('figure').focus()")
    output = []
    for _ in range(2):
        browser.do("Input.dispatchKeyEvent", type="keyDown", key="ArrowRight")
        output.append(browser.ask("document.getElementById('tip').innerText"))
    assert len(set(output)) == 2
    assert all("repeat" in text for text in output)


def test_without_scripts_everything_is_still_there(browser: Browser, page: Path, run: Run) -> None:
    browser.do("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(page)
        dom = browser.do("DOM.getDocument", depth=1)["root"]["nodeId"]
        marks = browser.do("DOM.querySelectorAll", nodeId=dom, selector=".mark > title")["nodeIds"]
        assert len(marks) > len(run.trials)
        assert browser.do("DOM.querySelectorAll", nodeId=dom, selector="button:not([hidden])")["nodeIds"] == []
    finally:
        browser.do("Emulation.setScriptExecutionDisabled", value=False)


def test_on_paper_it_is_complete(browser: Browser, page: Path) -> None:
    browser.open(page, 720, media="print")
    assert browser.ask("document.documentElement.scrollWidth") == 720
    assert not browser.ask("[...document.querySelectorAll('button')].some(each => each.offsetParent)")
    assert browser.ask("[...document.querySelectorAll('figure')].every(each => each.offsetWidth > 300)")


def test_a_hostile_run_takes_nothing_over(browser: Browser, tmp_path: Path) -> None:
    write_run(tmp_path / "run", sizes=(HOSTILE,), name=HOSTILE, path=HOSTILE, labels=(HOSTILE,), repeats=1)
    text = page_html(read_run(LocalMachine(), tmp_path / "run"))
    (tmp_path / "page.html").write_text(text)
    browser.open(tmp_path / "page.html")
    assert requests(browser) == [(tmp_path / "page.html").as_uri()]
    assert complaints(browser) == []
    assert browser.ask("document.title").startswith(HOSTILE)
    assert browser.ask("document.querySelector('h1').innerText") == HOSTILE
    # And were the escaping to fail, the page's policy would still hold: nothing runs, nothing is fetched.
    (tmp_path / "page.html").write_text(text.replace("<h1>", f"<h1>{HOSTILE.removeprefix('</title></script>')}"))
    browser.open(tmp_path / "page.html")
    assert browser.ask("document.title").startswith(HOSTILE)
    assert len(complaints(browser)) >= 2  # the script and the picture were refused
