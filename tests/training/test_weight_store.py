import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from hwnas.errors import SpecError, StorageError
from hwnas.nets import Network
from hwnas.spaces import Architecture, BlockSpec, space
from hwnas.training import WeightStore, weight_store
from hwnas.training.checkpoint import load_state, save_state


def architecture(channels=4, blocks=1, classes=2, size=8):
    conv = BlockSpec.of("conv", channels=channels, kernel=3, stride=1, activation="relu")
    head = BlockSpec.of("classifier", classes=classes)
    return Architecture((3, size, size), (*[conv] * blocks, head))


@pytest.fixture
def store(tmp_path):
    return WeightStore(tmp_path / "weights")


def test_weights_and_notes_come_back(store):
    network = Network(architecture(), seed=3)
    assert store.load(network.architecture) is None and store.note(network.architecture) is None
    store.save(network, {"value": 0.5, "reasons": ["a"]})
    found, note = store.load(network.architecture)
    state = network.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in found.state_dict().items())
    assert not found.training and note == {"value": 0.5, "reasons": ["a"]}
    assert store.note(network.architecture) == {"value": 0.5, "reasons": ["a"]}
    assert [path.name for path in store.folder.iterdir()] == [
        f"{network.architecture.digest}.weights"
    ]


def test_what_another_process_saved_is_seen(store):
    other = WeightStore(store.folder)
    other.save(Network(architecture()), {"value": 1})
    assert store.note(architecture()) == {"value": 1}
    other.save(Network(architecture()), {"value": 2})
    assert store.note(architecture()) == {"value": 2}
    store.path(architecture()).unlink()
    assert store.note(architecture()) is None and not list(store.architectures())


def test_a_file_is_read_once_for_its_network_and_its_note(store, monkeypatch):
    """What was used last is told by the file's time, which is set before it is read."""
    store.save(Network(architecture()), {"value": 1})
    os.utime(store.path(architecture()), (1, 1))
    read = []
    monkeypatch.setattr(weight_store, "load_state", lambda path: read.append(path) or real(path))
    real = load_state
    assert store.load(architecture()).note == {"value": 1} and len(read) == 1
    assert store.path(architecture()).stat().st_mtime > 1
    assert store.note(architecture()) == {"value": 1}
    assert store.nearest(architecture(5)) == architecture() and len(read) == 1


def test_a_file_that_goes_while_it_is_read_is_not_there(store, monkeypatch):
    store.save(Network(architecture()), {})

    def gone(path):
        path.unlink()
        return load_state(path)

    monkeypatch.setattr(weight_store, "load_state", gone)
    assert store.load(architecture()) is None and store.nearest(architecture(5)) is None


def fail(*_, **__):
    raise PermissionError(errno.EACCES, "Permission denied")


def test_what_cannot_be_removed_does_not_fail_a_save(store, monkeypatch):
    small = WeightStore(store.folder, limit_bytes=1)
    small.save(Network(architecture(4)), {})
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", fail)
        small.save(Network(architecture(5)), {"value": 1})
        patch.setattr(Path, "iterdir", fail)
        small.save(Network(architecture(6)), {})
    assert len(list(small.architectures())) == 3 and small.note(architecture(5)) == {"value": 1}
    small.save(Network(architecture(7)), {})
    assert list(small.architectures()) == [architecture(7)]


def test_a_file_that_cannot_be_looked_at_is_an_error_that_says_what_is_kept(store, monkeypatch):
    store.save(Network(architecture()), {})
    monkeypatch.setattr(Path, "stat", fail)
    with pytest.raises(StorageError, match="Permission denied; what is stored is kept"):
        store.load(architecture())


def test_a_folder_that_cannot_be_made_is_an_error_that_says_what_is_kept(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="cannot be written.*is kept"):
        WeightStore(tmp_path / "file" / "weights").save(Network(architecture()), {})


def test_the_nearest_relative_is_the_one_of_the_fewest_changed_layers(store):
    for item in (architecture(4), architecture(4, 3), architecture(6, 3), architecture(8)):
        store.save(Network(item), {})
    assert store.nearest(architecture(4, 2)) == architecture(4)
    assert store.nearest(architecture(6, 2)) == architecture(6, 3)
    assert store.nearest(architecture(4)).digest != architecture(4).digest


def test_relatives_have_the_same_classes_and_input_channels(store):
    assert store.nearest(architecture()) is None
    store.save(Network(architecture(classes=3)), {})
    store.save(Network(Architecture((1, 8, 8), architecture().blocks)), {})
    assert store.nearest(architecture()) is None
    store.save(Network(architecture(size=9)), {})
    assert store.nearest(architecture()) == architecture(size=9)


def test_mutants_find_their_parents_among_many(store):
    own = space("mobilenetv1-32")
    parents = [own.encode({"stage1.depth": a, "stage3.depth": b}) for a in (1, 3) for b in (1, 3)]
    for genes in parents:
        store.save(Network(own.decode(genes)), {})
    child = own.decode(own.encode({"stage1.depth": 3, "stage2.depth": 2, "stage3.depth": 1}))
    assert store.nearest(child) == own.decode(own.encode({"stage1.depth": 3, "stage3.depth": 1}))


def test_what_was_longest_not_used_goes_when_there_is_too_much(tmp_path):
    items = [architecture(channels) for channels in (4, 5, 6)]
    store = WeightStore(tmp_path)
    for age, item in zip((30, 20, 10), items, strict=True):
        store.save(Network(item), {})
        os.utime(store.path(item), (time.time() - age,) * 2)
    size = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert store.load(items[0]) is not None
    bounded = WeightStore(tmp_path, limit_bytes=size + 2000)
    bounded.save(Network(architecture(7)), {})
    kept = {item.digest for item in bounded.architectures()}
    # The second was used last the longest ago.
    assert kept == {item.digest for item in (items[0], items[2], architecture(7))}


def test_the_newest_stays_even_if_it_is_too_large(tmp_path):
    store = WeightStore(tmp_path, limit_bytes=1)
    for channels in (4, 5):
        store.save(Network(architecture(channels)), {})
    assert list(store.architectures()) == [architecture(5)]
    with pytest.raises(SpecError, match="at least 1, received 0"):
        WeightStore(tmp_path, limit_bytes=0)


KILLED = """
import os, signal, sys
from pathlib import Path
import torch
from hwnas.nets import Network
from hwnas.spaces import Architecture
from hwnas.training import WeightStore, checkpoint
import json
def half(state, file):
    file.write(b"half of it"); file.flush(); os.kill(os.getpid(), signal.SIGKILL)
checkpoint.torch.save = half
item = Architecture.from_json(json.loads(sys.argv[2]))
WeightStore(Path(sys.argv[1])).save(Network(item), {})
"""


def test_a_save_that_is_killed_leaves_the_store_as_it_was(store):
    store.save(Network(architecture(), seed=1), {"value": 1})
    arguments = [str(store.folder), json.dumps(architecture().to_json())]
    done = subprocess.run([sys.executable, "-c", KILLED, *arguments], check=False)
    assert done.returncode == -signal.SIGKILL
    (fragment,) = (path for path in store.folder.iterdir() if path.name.endswith(".partial"))
    assert list(store.architectures()) == [architecture()]
    assert store.note(architecture()) == {"value": 1}
    assert store.load(architecture()) is not None and store.nearest(architecture(5)) is not None
    store.save(Network(architecture(5)), {})
    assert fragment.exists()
    os.utime(fragment, (time.time() - 7200,) * 2)
    store.save(Network(architecture(5)), {})
    assert not fragment.exists() and len(list(store.architectures())) == 2


def test_a_torn_file_is_a_clear_error(store):
    store.save(Network(architecture()), {})
    path = store.path(architecture())
    path.write_bytes(path.read_bytes()[:500])
    for call in (store.load, store.note, store.nearest):
        with pytest.raises(StorageError, match="Delete it to start anew"):
            call(architecture())


def change(store, edit):
    store.save(Network(architecture()), {})
    path = store.path(architecture())
    state = load_state(path)
    edit(state)
    save_state(path, state)


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (
            lambda state: state["network"].update(
                {"blocks.0.conv.conv.weight": torch.zeros(5, 3, 3, 3)}
            ),
            "another shape.*size mismatch for blocks.0.conv.conv.weight",
        ),
        (lambda state: state["network"].popitem(), "another shape.*Missing key"),
        (lambda state: state["network"].update(extra=torch.zeros(1)), 'Unexpected key.*"extra"'),
        (lambda state: state["network"].update({1: torch.zeros(1)}), "something else than weights"),
        (lambda state: state.update(network=[1]), "does not say whose weights"),
        (lambda state: state["network"].update(extra=1), "something else than weights"),
        (lambda state: state.update(schema=2), "schema 2, this hwnas reads 1"),
        (lambda state: state.pop("architecture"), "does not say whose weights"),
        (lambda state: state.pop("note"), "does not say whose weights"),
        (
            lambda state: state.update(architecture=architecture(9).to_json()),
            "not what its name says",
        ),
    ],
)
def test_files_of_another_shape_are_a_clear_error(store, edit, says):
    change(store, edit)
    with pytest.raises(StorageError, match=says) as raised:
        store.load(architecture())
    assert "Delete it to train anew" in str(raised.value)
