"""The pure parts of the benchmarks: statistics, timelines, and what is read from ``/proc`` and apt."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import command, cpu, cycle, figures, host, memory, report, sources, timeline
from ouchi.core.errors import BadInput, Failed
from ouchi.core.events import Event, EventKind
from ouchi.core.instance import Instance
from ouchi.facts import collect
from ouchi.machine.local import LocalMachine


def ran(*arrivals: tuple[float, Event], stdout: str = "{}") -> command.Ran:
    return command.Ran(0, 99.0, 12.0, tuple(command.Arrival(at, event) for at, event in arrivals), "", stdout)


def done(task: str, begin: float, seconds: float, stage: str = "cloud") -> timeline.Span:
    return timeline.Span(stage, task, begin, seconds)


# --- figures


def test_a_figure_is_its_median_its_spread_its_count_and_its_ratio_to_the_target() -> None:
    text = figures.table({"prepared": [121.0, 90.0, 99.0]})
    assert "| ≤ 150 s | 99.0 (90.0–121.0) s | 3 | 0.66 |" in text


def test_a_single_sample_has_no_spread_and_a_figure_without_target_no_ratio() -> None:
    assert figures.table({"resume": [61.26]}).endswith("| `up` after `down`, until pinging |  | 61.3 s | 1 |  |")


def test_figures_without_samples_are_left_out_and_unknown_ones_refused() -> None:
    assert len(figures.table({"down": [3.0], "memory": []}).splitlines()) == 3
    with pytest.raises(KeyError, match="dwon"):
        figures.table({"dwon": [3.0]})


def test_every_target_of_the_project_is_in_the_table() -> None:
    targets = {figure.name: figure.target for figure in figures.FIGURES if figure.target}
    expected = {
        "help": 0.12,
        "version": 0.15,
        "fresh": 480,
        "prepared": 150,
        "nothing": 2,
        "doctor": 2,
        "rig-up": 20,
        "down": 20,
        "memory": 2.0,
    }
    expected |= {"plan-one": 50, "plan-big": 200, "plan-many": 60, "v2v-ndr-seconds": 60, "v2v-ndr-off": 2}
    expected |= {"traffic-rate-error": 0.1, "traffic-start": 1.5}
    least = {"traffic-sends": 14.88, "traffic-receives": 12, "v2v-busy": 95}
    assert targets == expected | least
    assert {figure.name for figure in figures.FIGURES if figure.at_least} == set(least)


# --- a command from outside


def test_wall_time_cpu_events_and_other_words_of_a_command() -> None:
    script = (
        """echo '{"kind":"changed","stage":"a","task":"b","text":"c","seconds":1.5,"at":2}' >&2;"""
        """ echo words >&2; echo out; (i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done); sleep 0.2; exit 3"""
    )
    heard: list[Event] = []
    found = command.run(("sh", "-c", script), seconds=30, hear=heard.append)
    assert found.status == 3
    assert heard == [Event(EventKind.CHANGED, "a", "b", "c", 1.5, 2)] == [arrival.event for arrival in found.arrivals]
    assert (found.stderr, found.stdout, found.changed) == ("words\n", "out\n", ["b"])
    assert 0 < found.cpu < found.seconds
    assert 0 <= found.arrivals[0].at <= found.seconds - 0.2


def test_a_command_that_does_not_end_is_given_up() -> None:
    with pytest.raises(Failed, match="did not end in time"):
        command.run(("sleep", "60"), seconds=0.2)


def test_a_failing_ouchi_is_told_with_its_own_findings() -> None:
    broken = command.Ouchi(("sh", "-c", "echo 'error: no room' >&2; exit 3", "ouchi"), lambda _event: None)
    with pytest.raises(Failed, match="status 3") as caught:
        broken.run("up")
    assert "error: no room" in str(caught.value)


@pytest.mark.parametrize("line", ["error: no room", "[]", "3", "{}", '{"kind": "new"}', '{"kind": "changed", "x": 1}'])
def test_words_that_are_no_event(line: str) -> None:
    assert command.parse_event(line) is None


def test_pinging_is_when_iperf3_begins_by_the_clock_of_the_command() -> None:
    found = ran(
        (80.2, Event(EventKind.CHANGED, "servers", "servers", at=80.0)),
        (81.2, Event(EventKind.PROGRESS, "verify", "verify", "ping", at=81.0)),
        (90.2, Event(EventKind.PROGRESS, "verify", "verify", "iperf3 TCP, 3 s", at=90.0)),
        (93.4, Event(EventKind.PROGRESS, "verify", "verify", "iperf3 UDP, 3 s", at=93.2)),
        (97.2, Event(EventKind.CHANGED, "verify", "verify", at=97.0)),
    )
    assert command.pinging(found) == 90.2


def test_pinging_is_the_end_of_verify_where_nothing_was_measured() -> None:
    assert command.pinging(ran((2.0, Event(EventKind.NOTHING, "verify", "verify")))) == 2.0
    with pytest.raises(ValueError, match="no verification"):
        command.pinging(ran((2.0, Event(EventKind.PROGRESS, "verify", "verify", "ping"))))


# --- timelines


def test_spans_are_what_was_done_by_begin() -> None:
    events = [
        Event(EventKind.STARTED, "cloud", "b", at=0.0),
        Event(EventKind.CHANGED, "cloud", "b", seconds=5.0, at=5.0),
        Event(EventKind.NOTHING, "prepare", "a", seconds=1.0, at=1.5),
        Event(EventKind.FAILED, "cloud", "c", seconds=1.0, at=6.0),
    ]
    assert timeline.spans(events) == [done("b", 0.0, 5.0), done("a", 0.5, 1.0, "prepare")]


def test_the_longest_way_is_found_with_what_the_others_have_to_spare() -> None:
    spans = [done("a", 0, 2), done("b", 2, 5), done("c", 2, 1), done("d", 7, 3), done("alone", 0, 4)]
    path = timeline.critical_path(spans, {"b": ["a"], "c": ["a"], "d": ["b", "c"], "e": ["d"]})
    assert path.tasks == ("a", "b", "d")
    assert path.seconds == 10
    assert path.slack == {"a": 0, "b": 0, "c": 4, "d": 0, "alone": 6}


@st.composite
def graphs(draw: st.DrawFn) -> tuple[dict[str, float], dict[str, tuple[str, ...]]]:
    names = [f"t{number}" for number in range(draw(st.integers(1, 12)))]
    seconds = {name: float(draw(st.integers(0, 50))) for name in names}
    needs = {
        name: tuple(draw(st.lists(st.sampled_from(names[:number]), unique=True))) if number else ()
        for number, name in enumerate(names)
    }
    return seconds, needs


@given(graphs())
def test_a_run_in_which_tasks_begin_as_soon_as_they_can_is_as_long_as_its_critical_path(
    graph: tuple[dict[str, float], dict[str, tuple[str, ...]]],
) -> None:
    seconds, needs = graph
    ends: dict[str, float] = {}
    for name in seconds:
        ends[name] = max((ends[need] for need in needs[name]), default=0.0) + seconds[name]
    spans = [done(name, ends[name] - seconds[name], seconds[name]) for name in seconds]
    path = timeline.critical_path(spans, needs)
    assert path.seconds == max(ends.values()) == sum(seconds[task] for task in path.tasks)
    assert all(before in needs[after] for before, after in zip(path.tasks, path.tasks[1:], strict=False))
    assert all(path.slack[task] == 0 for task in path.tasks)
    assert all(slack >= 0 for slack in path.slack.values())
    # As much longer as its slack, a task makes nothing later; and one second more does.
    for name, slack in path.slack.items():
        longer = [done(span.task, span.begin, span.seconds + slack * (span.task == name)) for span in spans]
        assert timeline.critical_path(longer, needs).seconds == path.seconds
        longer = [done(span.task, span.begin, span.seconds + (slack + 1) * (span.task == name)) for span in spans]
        assert timeline.critical_path(longer, needs).seconds == path.seconds + 1


def test_the_chart_shows_where_tasks_ran_to_scale() -> None:
    spans = [done("a", 0, 5), done("b", 5, 5), done("c", 5, 2.5)]
    path = timeline.critical_path(spans, {"b": ["a"], "c": ["a"]})
    lines = timeline.chart(spans, path, width=20).splitlines()
    assert lines[1:] == [
        "cloud: a │██████████          │     5.0",
        "cloud: b │          ██████████│     5.0",
        "cloud: c │          ░░░░░     │     2.5     2.5",
    ]
    assert timeline.path_text(spans, path) == "critical path, 10.0 s: a 5.0 → b 5.0"


@given(st.lists(st.tuples(st.floats(0, 1e4), st.floats(0, 1e4)), min_size=1, max_size=20), st.integers(1, 80))
def test_every_bar_is_seen_and_stays_within_its_chart(times: list[tuple[float, float]], width: int) -> None:
    spans = [done(f"t{number}", begin, seconds) for number, (begin, seconds) in enumerate(times)]
    text = timeline.chart(spans, timeline.critical_path(spans, {}), width=width)
    for line in text.splitlines()[1:]:
        bar = line.split("│")[1]
        assert len(bar) == width
        assert bar.strip(" ")


@pytest.mark.parametrize("times", [(5e-324, 0.0), (0.0, 5e-324), (0.0, 0.0)])
def test_what_took_no_time_has_a_bar_too(times: tuple[float, float]) -> None:
    spans = [done("t", *times)]
    (_, line) = timeline.chart(spans, timeline.critical_path(spans, {}), width=3).splitlines()
    assert line.split("│")[1].strip(" ")


def test_an_up_without_tasks_has_a_chart_that_says_so() -> None:
    assert timeline.chart([], timeline.critical_path([], {})) == "no task was done"


def test_the_needs_are_those_of_up() -> None:
    needs = timeline.needs_of_up()
    assert "servers" in needs["verify"]
    assert {need for names in needs.values() for need in names} <= set(needs)


# --- memory

ROLLUP = """55aba25c2000-7ffe5bc5e000 ---p 00000000 00:00 0                          [rollup]
Rss:              119568 kB
Pss:              105366 kB
Pss_Dirty:         96536 kB
Shared_Hugetlb:     6144 kB
Private_Hugetlb:  256000 kB
Locked:                0 kB
"""


def test_pss_and_hugepages_of_a_process() -> None:
    assert memory.parse_rollup(ROLLUP) == memory.Rollup(105366 * 1024, 262144 * 1024)


def test_this_very_process_can_be_read() -> None:
    rollup = memory.parse_rollup(Path("/proc/self/smaps_rollup").read_text())
    assert rollup.pss > 2**20
    assert rollup.hugetlb == 0


def test_a_parent_is_found_after_a_name_with_spaces_and_parentheses() -> None:
    assert memory.parse_parent("11091 (gunicorn: (a) b) S 10870 11091 11091 0 -1") == 10870


@pytest.mark.parametrize(
    ("cmdline", "title"),
    [
        ("gunicorn: worker [ouchi-glance]\0\0\0", "gunicorn: worker [ouchi-glance]"),
        ("/usr/sbin/mariadbd\0--defaults-file=/x\0", "name"),
        ("epmd\0-daemon\0", "name"),
        ("", "name"),
    ],
)
def test_the_title_of_a_process(cmdline: str, title: str) -> None:
    assert memory.parse_title(cmdline, "name\n") == title


def test_processes_without_a_mark_belong_to_their_nearest_marked_ancestor() -> None:
    parents = {1: 0, 10: 1, 11: 10, 12: 11, 20: 1, 30: 10}
    assert memory.services_by_process(parents, {10: "supervisord", 11: "nova-api"}) == {
        10: "supervisord",
        11: "nova-api",
        12: "nova-api",
        30: "supervisord",
    }


def test_guests_are_listed_but_not_counted() -> None:
    rows = [
        memory.Row(1, "mariadb", "mariadbd", 150_000_000, 0),
        memory.Row(2, "guest", "qemu-system-x86", 100_000_000, 268435456),
        memory.Row(3, "ovs-vswitchd", "ovs-vswitchd", 50_000_000, 600_000_000),
    ]
    assert memory.counted(rows) == 0.2
    lines = memory.memory_table(rows).splitlines()
    assert "| **Sum** | 2 processes, 0.186 GiB | **200** | 600 |" in lines
    assert lines[-1] == "| guest (not counted) | qemu-system-x86 | 100.0 | 268 |"


# --- CPU


def test_the_machines_clock() -> None:
    stat = "cpu  1000 20 300 99999 500 6 7 80 400 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n"
    assert cpu.parse_clock(stat, ticks=100) == cpu.Clock(13.33, 0.8)
    assert cpu.Clock(5.0, 1.0).since(cpu.Clock(2.0, 0.5)) == cpu.Clock(3.0, 0.5)


def test_the_cpu_time_of_a_process_and_the_children_it_waited_for() -> None:
    stat = "7 (a b) c) S 1 7 7 0 -1 4194560 1 2 3 4 150 50 20 30 20 0 9"
    assert cpu.parse_process(stat, ticks=100) == 2.5


def test_how_near_the_cpus_were_to_being_the_limit() -> None:
    use = cpu.Use(100.0, 2, cpu.Clock(150.0, 3.0), 40.0, {"mariadb": 60.0, "epmd": 0.01})
    assert use.share == 0.75
    text = cpu.use_text(use)
    assert "150.0 s used of 2 × 100.0 s = 200.0 s (75%); 3.0 s taken by other virtual machines" in text
    assert "ouchi and its children 40.0; mariadb 60.0; other processes, and those that have ended, 50.0" in text


# --- apt

DEB822 = """Types: deb deb-src
# an archive's snapshot
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mDMEabc
 -----END PGP PUBLIC KEY BLOCK-----

Types: deb
URIs: http://mirror.example/debian
Suites: bookworm-backports
Components: main
Enabled: no
"""
LIST = """# deb http://old.example bookworm main
deb [arch=amd64 signed-by=/etc/apt/keyrings/cloud.gpg] https://packages.example/apt cloud-bookworm main # theirs
deb-src http://mirror.example/debian bookworm main
deb\thttp://second.example/debian bookworm main
deb [ trusted=yes ] http://third.example/ ./
"""
KEY = "/usr/share/keyrings/debian-archive-keyring.gpg"


def test_sources_of_both_forms() -> None:
    found = sources.parse_sources({"a.sources": DEB822, "b.list": LIST})
    assert found == [
        sources.Source("http://mirror.example/debian", "bookworm", ("main", "contrib"), KEY),
        sources.Source("http://mirror.example/debian", "bookworm-updates", ("main", "contrib"), KEY),
        sources.Source("http://mirror.example/debian-security", "bookworm-security", ("main",)),
        sources.Source("https://packages.example/apt", "cloud-bookworm", ("main",), "/etc/apt/keyrings/cloud.gpg"),
        sources.Source("http://second.example/debian", "bookworm", ("main",)),
        sources.Source("http://third.example/", "./", (), trusted=True),
    ]


def test_only_the_releases_own_suites_once_and_the_release_first() -> None:
    found = sources.of_release(sources.parse_sources({"b.list": LIST, "a.sources": DEB822}), "bookworm", "bookworm")
    assert [source.suite for source in found] == ["bookworm", "bookworm-updates", "bookworm-security"]
    assert sources.of_release(found, "trixie", "trixie") == []
    newer = sources.of_release(found, "bookworm", "trixie")
    assert [source.suite for source in newer] == ["trixie", "trixie-updates", "trixie-security"]
    assert [source.uri for source in newer] == [source.uri for source in found]


@pytest.mark.parametrize("source", sources.parse_sources({"a.sources": DEB822, "b.list": LIST}))
def test_a_source_survives_its_line(source: sources.Source) -> None:
    assert sources.parse_sources({"c.list": source.line()}) == [source]


def test_what_a_network_asks_of_apt_is_kept_and_nothing_else() -> None:
    dump = (
        'APT::Architecture "amd64";\nAcquire::http "";\nAcquire::http::Proxy "http://proxy.example:3128";\n'
        'Acquire::https::CAInfo "/etc/ca.pem";\nAcquire::Check-Date "false";\nAcquire::Languages "none";\n'
        'DPkg::Post-Invoke:: "rm -f /x";\nAcquire::Retries "3";\n'
    )
    assert sources.network_settings(dump).splitlines() == [
        'Acquire::http::Proxy "http://proxy.example:3128";',
        'Acquire::https::CAInfo "/etc/ca.pem";',
        'Acquire::Check-Date "false";',
        'Acquire::Retries "3";',
    ]


# --- the cycle

FAKE = """
echo "$*" >>"$LAB/log"
if [ -e "$LAB/broken" ] && [ "$1 $2" = "up --json" ]; then echo 'error: no room' >&2; exit 3; fi
case $* in
    up*) mkdir -p "$LAB/state/cache"; touch "$LAB/state/data"
        echo '{"kind":"changed","stage":"verify","task":"verify","text":"","seconds":1,"at":2}' >&2
        echo '{"verified": {"labels": ["pretended"]}}' ;;
    down*--purge*) rm -rf "$LAB/state" ;;
esac
"""


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which a pretended ouchi writes down what it is asked for, and keeps and purges its state."""
    monkeypatch.setenv("LAB", str(tmp_path))
    monkeypatch.setattr(cycle, "CACHE_ASIDE", str(tmp_path / "aside"))
    monkeypatch.setattr(cycle, "SITE", "SITE")
    (tmp_path / "state/cache/openstack").mkdir(parents=True)
    return tmp_path


def life_of(lab: Path, expected: set[str]) -> cycle.Record:
    record = cycle.Record()
    ouchi = command.Ouchi(("sh", "-c", FAKE, "ouchi"), lambda _event: None)
    instance = Instance("nobody", str(lab / "state"), str(lab / "run"), str(lab / "logs"))
    cycle.measure_cycles(ouchi, LocalMachine(), instance, expected, 2, record, lambda _text: None)
    return record


def test_a_cycle_measures_what_is_expected_and_ends_without_data_but_with_its_cache(lab: Path) -> None:
    record = life_of(lab, {"up", "nothing", "doctor", "memory", "resume"})
    forget = ["down", "down --purge"]
    up, down = "up --json --site SITE", "down --json"
    one = [*forget, up, *[up] * 5, *["doctor"] * 5, down, up, down]
    assert (lab / "log").read_text().splitlines() == ["up --until prepare --site SITE", *one, *one, *forget]
    counts = {name: len(values) for name, values in record.samples.items()}
    assert counts == {
        "prepared": 2,
        "prepared-whole": 2,
        "nothing": 10,
        "nothing-cpu": 10,
        "doctor": 10,
        "doctor-cpu": 10,
        "memory": 2,
        "down": 4,
        "resume": 2,
        "resume-whole": 2,
    }
    assert record.labels == ["pretended"]
    assert record.notes == ["`up` with nothing to do still changed: verify (10 of 10 runs)"]
    assert [path.name for path in (lab / "state").iterdir()] == ["cache"]
    assert (lab / "state/cache/openstack").is_dir()
    assert not (lab / "aside").exists()


def test_a_failing_up_ends_the_cycle_with_the_machine_down_and_its_data_kept(lab: Path) -> None:
    (lab / "broken").touch()
    with pytest.raises(Failed, match="no room"):
        life_of(lab, {"up"})
    requested = (lab / "log").read_text().splitlines()
    assert requested[-2:] == ["up --json --site SITE", "down"]
    assert (lab / "state/cache/openstack").is_dir()


def test_a_cache_that_a_killed_run_left_aside_is_put_back(lab: Path) -> None:
    (lab / "state").rename(lab / "old")
    (lab / "old/cache").rename(lab / "aside")
    cycle.restore_cache(LocalMachine(), Instance(state=str(lab / "state")))
    assert (lab / "state/cache/openstack").is_dir()
    assert not (lab / "aside").exists()


def test_an_instance_with_data_is_not_purged_unasked(lab: Path) -> None:
    instance = Instance("nobody", str(lab / "state"))
    cycle.check_nothing_to_lose(LocalMachine(), instance)
    (lab / "state/mariadb").mkdir()
    with pytest.raises(BadInput, match="--destroy") as caught:
        cycle.check_nothing_to_lose(LocalMachine(), instance)
    assert "mariadb" in str(caught.value)


# --- the report


def test_the_report_holds_the_table_the_charts_and_what_stands_beside_them() -> None:
    facts = collect(LocalMachine())
    cpuinfo = "processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\n"
    machine = host.describe(facts, cpuinfo, "0.10 0.2 0.3 1/2 3\n")
    record = cycle.Record()
    record.add("prepared", 92.0)
    summary = json.dumps({"verified": {"labels": ["emulated guests"]}})
    record.keep("prepared", ran((5.1, Event(EventKind.CHANGED, "servers", "servers", "", 5.0, 5.0)), stdout=summary))
    record.keep("prepared", ran(stdout=json.dumps({"verified": None})))
    record.keep("prepared", ran((5.1, Event(EventKind.CHANGED, "servers", "servers", "", 5.0, 5.0)), stdout=summary))
    text = report.markdown(machine, record)
    assert text.startswith("Measured on: Some CPU @ 2 GHz, ")
    assert "| ≤ 150 s | 92.0 s | 1 | 0.61 |" in text
    assert "critical path, 5.0 s: servers 5.0" in text
    found = json.loads(json.dumps(report.as_json(machine, record)))
    assert found["labels"][-1] == "emulated guests"
    assert found["samples"] == {"prepared": [92.0]}
    assert found["timelines"]["prepared"][0]["task"] == "servers"


@pytest.mark.parametrize(
    ("virtual", "load", "labels"),
    [
        ("", 0.1, []),
        ("KVM", 0.1, ["shared machine (virtual CPUs)"]),
        ("KVM", 2.0, ["shared machine (virtual CPUs, load 2.00 before it began)"]),
    ],
)
def test_what_figures_of_a_machine_are_labelled(virtual: str, load: float, labels: list[str]) -> None:
    assert host.Host("CPU", 2, 2, 24.0, "6.1", "Debian", virtual, load).labels == labels
