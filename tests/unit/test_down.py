"""``down --purge``: the state folder goes at once, whenever it is killed."""

from __future__ import annotations

from pathlib import Path

import pytest

from ouchi.core.errors import Failed
from ouchi.core.instance import Instance
from ouchi.flows.down import _remove_folders
from ouchi.machine.local import LocalMachine
from ouchi.parts.context import Context
from ouchi.parts.openstack.servers import _require_ours
from ouchi.parts.settings import MARK


def test_a_purge_leaves_the_state_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed while it deletes, the next ``up`` finds no half of it, and the next purge ends it."""
    instance = Instance(state=str(tmp_path / "state"), run=str(tmp_path / "run"), logs=str(tmp_path / "logs"))
    machine = LocalMachine()
    for folder in (instance.state, instance.run):
        machine.make_folder(f"{folder}/some/where")
    remove = machine.remove

    def killed(path: str) -> None:
        if path.endswith(".removed") and machine.exists(path):
            raise KeyboardInterrupt
        remove(path)

    monkeypatch.setattr(machine, "remove", killed)
    with pytest.raises(KeyboardInterrupt):
        _remove_folders(Context(machine, instance), print, purge=True)
    assert [path.name for path in tmp_path.iterdir()] == ["state.removed"]
    monkeypatch.undo()
    _remove_folders(Context(LocalMachine(), instance), print, purge=True)
    assert list(tmp_path.iterdir()) == []


def test_a_server_of_another_user_is_not_deleted() -> None:
    _require_ours({"id": "1", "name": "one", "metadata": {"ouchi": MARK}})
    with pytest.raises(Failed, match="is not ouchi's"):
        _require_ours({"id": "1", "name": "one", "metadata": {}})
