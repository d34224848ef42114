"""Files that ouchi writes: durable, and pipes, devices and links that the user names are never replaced."""

from __future__ import annotations

import os
import pty
import stat
import threading
import tty
from pathlib import Path

import pytest

from ouchi.cli.output import write_output
from ouchi.core.errors import BadInput
from ouchi.machine.local import LocalMachine


def test_a_device_is_written_to() -> None:
    controller, terminal = pty.openpty()
    try:
        tty.setraw(terminal)
        name = os.ttyname(terminal)
        write_output(name, "figures\n", "written")
        assert os.read(controller, 100) == b"figures\n"
        assert stat.S_ISCHR(os.stat(name).st_mode)
    finally:
        os.close(controller)
        os.close(terminal)


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    found: list[str] = []
    reader = threading.Thread(target=lambda: found.append(pipe.read_text()), daemon=True)
    reader.start()
    write_output(str(pipe), "figures", "written")
    reader.join(10)
    assert found == ["figures"]
    assert pipe.is_fifo()


@pytest.mark.parametrize("before", [None, "an older and longer text"])
def test_a_link_is_followed(before: str | None, tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    link.symlink_to(target)
    if before is not None:
        target.write_text(before)
    write_output(str(link), "figures", "written")
    assert link.is_symlink()
    assert target.read_text() == "figures"


def test_a_block_device_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The contents of a disk are not replaced by a report."""
    monkeypatch.setattr(LocalMachine, "kind", lambda *_: "other")
    monkeypatch.setattr(stat, "S_ISBLK", lambda _mode: True)
    disk = tmp_path / "disk"
    disk.write_text("partitions")
    with pytest.raises(BadInput, match="it is a block device"):
        write_output(str(disk), "figures", "written")
    assert disk.read_text() == "partitions"


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be written"):
        write_output(str(tmp_path), "figures", "written")


def test_a_file_and_its_name_are_on_the_disk_when_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is changed after a write must not survive a power cut that the write does not: a journal, say."""
    done: list[str] = []
    fsync, replace = os.fsync, os.replace

    def synced(handle: int) -> None:
        done.append(f"fsync {os.readlink(f'/proc/self/fd/{handle}').rpartition('/')[2][:7]}")
        fsync(handle)

    def renamed(source: str, target: str) -> None:
        done.append("rename")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", renamed)
    folder = tmp_path / "journal"
    folder.mkdir()
    LocalMachine().write(folder / "journal.json", "{}")
    assert done == ["fsync .ouchi-", "rename", "fsync journal"]
