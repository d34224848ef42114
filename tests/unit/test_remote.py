"""Remote hosts without a network: addresses, ssh's messages, the facts of a host, several hosts in parallel."""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import subprocess
import threading
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ouchi.core.errors import BadInput, Failed, Unhealthy, error
from ouchi.facts import collect
from ouchi.flows.hosts import HostResult, Job, exit_status, run_jobs, summary
from ouchi.machine import probes
from ouchi.machine.gather import new_mark, read_gathered
from ouchi.machine.local import LocalMachine
from ouchi.machine.sh import script
from ouchi.machine.ssh.address import Address, parse_address
from ouchi.machine.ssh.machine import _os_error
from ouchi.machine.ssh.sessions import Session
from ouchi.machine.ssh.unreachable import no_root, unreachable
from ouchi.plan.load import is_here
from tests.hosts.tree import Tree


class TestAddress:
    @pytest.mark.parametrize(
        ("text", "address"),
        [
            ("rack1", Address("rack1")),
            ("root@rack1.example", Address("rack1.example", "root")),
            ("root@192.0.2.1:2222", Address("192.0.2.1", "root", 2222)),
            ("[2001:db8::1]", Address("2001:db8::1")),
            ("a.b@[fe80::1%enp3s0]:22", Address("fe80::1%enp3s0", "a.b", 22)),
            ("me@corp@host_1", Address("host_1", "me@corp")),
        ],
    )
    def test_forms(self, text: str, address: Address) -> None:
        assert parse_address(text) == address
        assert str(address) == text

    @pytest.mark.parametrize(
        ("text", "output"),
        [
            ("", "not a host name"),
            ("@host", "not a user name"),
            ("-oProxyCommand=x", "not a host name"),
            ("-l@host", "not a user name"),
            ("a b@host", "not a user name"),
            ("host;reboot", "not a host name"),
            ("$(x)", "not a host name"),
            ("host\n", "not a host name"),
            ("host:0", "port"),
            ("host:65536", "port"),
            ("host:", "port"),
            ("host:ssh", "port"),
            ("2001:db8::1", r"must be in brackets: \[2001:db8::1\]"),
            ("a:b:c", "more than one :"),
            ("[host]", "not an IPv6"),
            ("[::1", "not an IPv6"),
            ("[::1]x", "not an IPv6"),
            ("[::1%a b]", "not an IPv6"),
        ],
    )
    def test_refused(self, text: str, output: str) -> None:
        with pytest.raises(ValueError, match=output):
            parse_address(text)

    @given(st.text(max_size=30))
    @example("root@-x")
    @example("[::1]:022")
    def test_any_text(self, text: str) -> None:
        try:
            address = parse_address(text)
        except ValueError:
            return
        assert parse_address(str(address)) == address
        for word in (address.host, address.user):
            assert not word.startswith("-")
            assert not set(word) & set(" \t\n'\"\\$`;&|<>()*?!#~{}")

    def test_which_is_here(self) -> None:
        tree = Tree()
        tree.put("/proc/sys/kernel/hostname", "attic.example")
        facts = collect(tree)
        for text in ("attic", "Attic.example", "root@attic:2222", "localhost", "127.0.0.1", "[::1]:22"):
            assert is_here(parse_address(text), facts), text
        for text in ("cellar", "attic.other", "127.0.0.1:2222", "192.0.2.1"):
            assert not is_here(parse_address(text), facts), text


class TestWhatSshSays:
    @pytest.mark.parametrize(
        ("output", "claim", "remedy"),
        [
            ("Host key verification failed.", "host key of .* is not known", "ssh -F c -p 22 me@h"),
            ("me@h: Permission denied (publickey).", "refuses the login", "ssh-copy-id -F c -p 22 me@h"),
            ("ssh: connect to host h port 22: Connection refused", "no connection", "ssh -F c -p 22 me@h shows"),
            ("ssh: Could not resolve hostname h: Name or service not known", "no connection", "ssh"),
            ("@@@@\n@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\n", "has changed", r"-R '\[h\]:22'"),
            ("", "no connection", "ssh"),
        ],
    )
    def test_reasons(self, output: str, claim: str, remedy: str) -> None:
        with pytest.raises(BadInput, match=claim) as caught:
            raise unreachable(parse_address("me@h:22"), output, ("-F", "c"))
        (finding,) = caught.value.findings
        assert finding.where == "me@h:22"
        assert finding.found
        assert finding.expected
        assert re.search(remedy, finding.remedy)

    @given(st.text(max_size=200))
    def test_nothing_reaches_the_terminal(self, output: str) -> None:
        for reason in (unreachable(Address("h"), output), no_root(Address("h"), 7, output)):
            assert "\x1b" not in str(reason)

    @pytest.mark.parametrize(
        ("output", "kind"),
        [
            ("cat: /x: No such file or directory\n", FileNotFoundError),
            ("noise\nmktemp: failed to create file via template '/a\n/b': Permission denied\n", PermissionError),
            ("tee: /sys/x: Invalid argument", OSError),
            ("chown: invalid user: 'none:none'", LookupError),
            ("chown: invalid group: ‘none:none’", LookupError),
            ("", OSError),
        ],
    )
    def test_errors_of_files(self, output: str, kind: type[Exception]) -> None:
        assert isinstance(_os_error(output, "h:/x"), kind)


MARK = "ouchi-mark"


def gathered(**sections: bytes) -> bytes:
    names = ("names", "texts", "drivers", "ethtool", "rdma", "ovs", "end")
    return b"".join(f"\n{MARK} {name}\n".encode() + sections.get(name, b"") for name in names)


def names_of(*entries: tuple[str, str, str]) -> bytes:
    return b"".join(f"{kind}{path}\0{target}\0".encode() for kind, path, target in entries)


def lines_of(path: bytes, text: bytes) -> bytes:
    """As ``grep -aZH ''`` prints a file."""
    lines = text.removesuffix(b"\n").split(b"\n") if text else []
    return b"".join(path + b"\0" + line + b"\n" for line in lines)


class TestGathered:
    def test_links_lead_where_they_lead(self) -> None:
        output = gathered(
            names=names_of(
                ("l", "/sys/class/net/eth0", "../../devices/pci0/0000:01:00.0/virtio1/net/eth0"),
                ("l", "/sys/class/net/eth0/device", "../../../virtio1"),
                ("l", "/sys/class/net/eth0/device/driver", "../../../../bus/virtio/drivers/virtio_net"),
                ("d", "/sys/class/net/eth0/queues", ""),
                ("c", "/dev/kvm", ""),
            ),
            texts=lines_of(b"/sys/class/net/eth0/device/../uevent", b"PCI_SLOT_NAME=0000:01:00.0\n")
            + lines_of(b"/proc/cpuinfo", b"processor : 0\nflags : a b\n"),
            drivers=b"/usr/lib/x/librte_net_a.so.23.0\0PMD_INFO_STRING= {1}\0/usr/lib/x/librte_net_a.so.23.0\0PMD_INFO_STRING= {2}\0",
            ethtool=b"eth0\0driver: virtio_net\nfirmware-version: \n\0Current hardware settings:\nRX:\tn/a\nCombined:\t4\n\0",
            rdma=b"link rxe0/1 lqpn 1 type GSI state RTS sq-psn 0 comm [ib_core]\n",
            ovs=b"ovs-vsctl (Open vSwitch) 3.1.0\nDB Schema 8.3.0\n",
        )
        tree = read_gathered(output, MARK, "h", "192.0.2.7")
        assert tree.read("/sys/class/net/eth0/device/../uevent") == "PCI_SLOT_NAME=0000:01:00.0"
        assert tree.link("/sys/class/net/eth0/device/driver") == "virtio_net"
        assert tree.exists("/dev/kvm")
        assert tree.read("/proc/cpuinfo") == "processor : 0\nflags : a b"
        assert tree.read_bytes("/usr/lib/x/librte_net_a.so.23.0") == b"PMD_INFO_STRING= {1}\0PMD_INFO_STRING= {2}\0"
        assert (tree.probe("ovs-version"), tree.probe("session")) == ("3.1.0", "192.0.2.7")
        assert tree.probe("rdma").startswith("link rxe0/1 ")
        assert tree.probe("ethtool/eth0").splitlines()[-2:] == ["rx queues: 4", "tx queues: 4"]
        assert tree.readlink("/sys/class/net/eth0/device") == "../../../virtio1"

    @given(
        st.dictionaries(
            st.lists(
                st.binary(min_size=1, max_size=9).filter(lambda name: not set(b"\0/") & set(name)),
                min_size=1,
                max_size=4,
            )
            .map(lambda parts: b"/" + b"/".join(parts))
            .filter(lambda path: b"/." not in path),
            st.binary(max_size=40),
            max_size=5,
        )
    )
    def test_any_names_and_contents(self, files: dict[bytes, bytes]) -> None:
        texts = b"".join(lines_of(path, text) for path, text in files.items())
        try:
            tree = read_gathered(gathered(texts=texts), MARK, "h")
        except BadInput:  # a file below a file, which no host has
            assert any(other.startswith(path + b"/") for path in files for other in files)
            return
        for path, text in files.items():
            name = path.decode(errors="surrogateescape")
            if text and name.isprintable():
                assert tree.read_bytes(name) == text.removesuffix(b"\n")
            elif not name.isprintable():
                assert not tree.exists(name)

    @given(st.binary(max_size=300))
    def test_any_bytes(self, noise: bytes) -> None:
        for output in (noise, gathered(names=noise, texts=noise, drivers=noise, ethtool=noise, rdma=noise, ovs=noise)):
            with contextlib.suppress(Failed, BadInput):
                collect(read_gathered(output, MARK, "h"))

    def test_what_is_cut_off_is_refused(self) -> None:
        whole = gathered(texts=lines_of(b"/proc/cpuinfo", b"x\n" * 100))
        for end in range(0, len(whole) - 1, 7):
            with pytest.raises(Failed, match="are not complete"):
                read_gathered(whole[:end], MARK, "h")

    def test_links_in_a_circle_and_out_of_the_tree(self) -> None:
        output = gathered(
            names=names_of(("l", "/a", "b"), ("l", "/b", "a"), ("l", "/c", "../../../etc")),
            texts=lines_of(b"/a/x", b"1\n") + lines_of(b"/c/passwd", b"2\n"),
        )
        tree = read_gathered(output, MARK, "h")
        assert tree.entries("/") == [".ouchi", "a", "b", "c"]

    def test_the_script_here_and_now(self) -> None:
        """Run by this machine's own shell: the same facts as read through the machine interface, except for what changes meanwhile."""
        mark = new_mark()
        done = subprocess.run(["sh", "-c", script("gather"), "sh", mark], capture_output=True, timeout=60, check=True)
        assert done.stderr == b""
        there, here = (
            collect(reader).to_json() for reader in (read_gathered(done.stdout, mark, "here"), LocalMachine())
        )
        for facts in (there, here):
            facts["system"].pop("memory_available_kib")
            for node in facts["memory"]:
                node.pop("free_kib")
                node["hugepages"] = [pages["size_kib"] for pages in node["hugepages"]]
            for nic in facts["nics"]:  # without ethtool they are not told
                nic.pop("firmware")
        assert there == here


class TestProbes:
    def test_session(self) -> None:
        assert probes.session_of("203.0.113.9 51000 192.0.2.7 22") == "192.0.2.7"
        assert probes.session_of("- - - -") == "-"
        assert probes.session_of("") == probes.session_of("a b") == ""

    def test_own_session(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SSH_CONNECTION", "2001:db8::9 51000 2001:db8::1 22")
        assert LocalMachine().probe("session") == "2001:db8::1"
        monkeypatch.delenv("SSH_CONNECTION")
        assert LocalMachine().probe("session") == ""

    def test_a_driver_that_counts_no_queues(self) -> None:
        text = probes.ethtool_text("driver: tun\nversion: 1.6\nfirmware-version: \nbus-info: tap\n", "")
        assert text == "driver: tun\nversion: 1.6\nfirmware: \nbus: tap\n"
        assert probes.ethtool_text("", "Current hardware settings:\nRX: 1\n") == ""

    @given(st.text(max_size=100), st.text(max_size=100))
    def test_any_text(self, driver: str, channels: str) -> None:
        probes.ethtool_text(driver, f"Current hardware settings\n{channels}")
        probes.ovs_version(driver)


def job(name: str, work: object = None, stop: object = lambda: None) -> Job[object]:
    return Job(name, f"root@{name}", work or (lambda: name), stop)  # type: ignore[arg-type]


def failing(reason: BaseException) -> object:
    def work() -> None:
        raise reason

    return work


class TestSideBySide:
    def test_one_that_fails_does_not_stop_the_others(self) -> None:
        bad = (
            (BadInput(error("refused")), 2, "refused"),
            (Unhealthy(error("sick")), 1, "sick"),
            (OSError(5, "Input/output error"), 3, "a file of the host"),
            (ZeroDivisionError("oops"), 3, "this is a bug in ouchi"),
        )
        jobs = [job("first"), *(job(f"bad{n}", failing(reason)) for n, (reason, *_) in enumerate(bad)), job("last")]
        outcomes = list(run_jobs(jobs))
        assert [outcome.name for outcome in outcomes] == ["first", "bad0", "bad1", "bad2", "bad3", "last"]
        assert [outcome.status for outcome in outcomes] == [0, *(status for _, status, _ in bad), 0]
        for outcome, (_, _, claim) in zip(outcomes[1:], bad, strict=False):
            assert claim in outcome.findings[0].claim
        assert (outcomes[0].result, outcomes[-1].result) == ("first", "last")
        assert exit_status(outcomes) == 3
        assert json.dumps([outcome.to_json() for outcome in outcomes])
        text = summary(outcomes)
        assert "2 of 6 hosts succeeded" in text
        assert "✘ bad0" in text

    def test_side_by_side_but_no_more_than_so_many(self) -> None:
        running, most, lock = 0, 0, threading.Lock()

        def work() -> None:
            nonlocal running, most
            with lock:
                running += 1
                most = max(most, running)
            time.sleep(0.02)
            with lock:
                running -= 1

        outcomes = list(run_jobs([job(str(number), work) for number in range(20)], most_at_once=4))
        assert len(outcomes) == 20
        assert 1 < most <= 4

    def test_each_is_there_as_soon_as_those_before_it(self) -> None:
        gate = threading.Event()
        found = run_jobs([job("quick"), job("slow", gate.wait)])
        assert next(found).name == "quick"
        gate.set()
        assert next(found).name == "slow"

    def test_when_we_stop_all_stop(self) -> None:
        gate = threading.Event()
        found = run_jobs(
            [job("quick"), job("slow", gate.wait, gate.set), *(job(str(n)) for n in range(9))], most_at_once=2
        )
        next(found)
        with pytest.raises(KeyboardInterrupt):
            found.throw(KeyboardInterrupt())  # type: ignore[attr-defined]
        assert gate.is_set()

    def test_no_host_at_all(self) -> None:
        assert list(run_jobs([])) == []
        assert exit_status([]) == 0

    def test_a_result_with_a_status(self) -> None:
        (outcome,) = run_jobs([job("a", lambda: HostResult("x", "", 0.0, None, 1))])
        assert outcome.status == 1


@given(st.lists(st.text(max_size=20), max_size=5))
def test_words_for_the_other_side(words: list[str]) -> None:
    """What is sent is a script that a shell splits into the very same words."""
    words = [word.replace("\0", "") for word in words]
    text = f"set -- {shlex.join(words)}\nprintf '%s\\0' \"$@\""
    if not words:
        return
    try:
        raw = text.encode()
    except UnicodeEncodeError:
        return
    done = subprocess.run(["sh", "-c", 'eval "$(cat)"'], input=raw, capture_output=True, timeout=20, check=True)
    assert done.stdout.decode().split("\0")[:-1] == words


def test_what_comes_with_the_first_line_is_not_lost() -> None:
    """The answer about a lock is two lines in one write: the second must be left for wait(). What the login
    shell says before is nobody's."""
    session = Session(("printf", r"welcome\n\nmark\nbusy\nouchi apply, process 7"), b"", "mark")
    assert session.first_line(10) == b"busy"
    assert session.wait(10).stdout == b"ouchi apply, process 7"
