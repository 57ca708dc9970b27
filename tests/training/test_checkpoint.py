import os
import tempfile
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from hwnas.errors import StorageError
from hwnas.training import checkpoint
from hwnas.training.checkpoint import load_state, save_state


class Foreign:
    """What no checkpoint may hold."""


def test_states_come_back_and_nothing_else_is_left(tmp_path):
    path = tmp_path / "deep" / "state"
    save_state(path, {"a": torch.arange(3), "b": [1, "x"]})
    state = load_state(path)
    assert state["a"].tolist() == [0, 1, 2] and state["b"] == [1, "x"]
    assert [item.name for item in path.parent.iterdir()] == ["state"]


def test_objects_are_not_made(tmp_path):
    torch.save({"a": Foreign()}, tmp_path / "state")
    with pytest.raises(StorageError, match="cannot be read as a checkpoint"):
        load_state(tmp_path / "state")


@pytest.mark.parametrize("content", [b"", b"text", b"\x80\x02.", bytes(100)])
def test_torn_files_are_refused(tmp_path, content):
    path = tmp_path / "state"
    path.write_bytes(content)
    with pytest.raises(StorageError, match="Delete it to start anew"):
        load_state(path)


def test_missing_files_and_other_values_are_refused(tmp_path):
    with pytest.raises(StorageError, match="none"):
        load_state(tmp_path / "none")
    torch.save([1, 2], tmp_path / "list")
    with pytest.raises(StorageError, match="is not a checkpoint"):
        load_state(tmp_path / "list")


@pytest.mark.parametrize("failure", [OSError("no space left"), RuntimeError("write failed")])
def test_a_failed_write_leaves_the_old_state_and_no_fragment(tmp_path, monkeypatch, failure):
    path = tmp_path / "state"
    save_state(path, {"step": 1})

    def fail(state, file):
        file.write(b"half of it")
        raise failure

    monkeypatch.setattr(checkpoint.torch, "save", fail)
    with pytest.raises(StorageError, match="cannot be written.*is kept"):
        save_state(path, {"step": 2})
    assert load_state(path) == {"step": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_threads_that_save_at_once_do_not_share_a_fragment(tmp_path, monkeypatch):
    path = tmp_path / "state"
    names = []
    real = tempfile.mkstemp

    def named(*arguments):
        handle, name = real(*arguments)
        names.append(name)
        return handle, name

    monkeypatch.setattr(tempfile, "mkstemp", named)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda step: save_state(path, {"step": step}), range(12)))
    assert len(set(names)) == 12 and {os.path.dirname(name) for name in names} == {str(tmp_path)}
    assert load_state(path)["step"] in range(12) and list(tmp_path.iterdir()) == [path]


def test_others_may_read_what_is_saved(tmp_path):
    save_state(tmp_path / "state", {})
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o644


def test_a_fragment_that_cannot_be_removed_hides_no_failure(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint.os, "replace", fail)
    monkeypatch.setattr(checkpoint.os, "unlink", fail)
    with pytest.raises(StorageError, match="the disk is full; what was saved before is kept"):
        save_state(tmp_path / "state", {})
