"""Files that once broke the readers, and values that once passed."""

import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hwnas.errors import DataError, SpecError, StorageError
from hwnas.training.checkpoint import load_state
from hwnas.training.cifar import read_batch
from hwnas.training.idx import read_idx
from hwnas.training.recipe import Recipe
from hwnas.training.splits import stratified_split


@pytest.mark.parametrize("content", [b"", b"text", b"\x80\x02.", bytes(100)])
def test_a_torn_checkpoint(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "state.pt"
    path.write_bytes(content)
    with pytest.raises(StorageError, match="Delete it to start anew"):
        load_state(path)


def test_a_pickle_cannot_change_the_reader(tmp_path: Path) -> None:
    path = tmp_path / "batch"
    # BUILD with a pair as its state would set attributes of the function.
    path.write_bytes(b"\x80\x02c_codecs\nencode\nN}X\x0c\0\0\0__defaults__N\x85s\x86b.")
    with pytest.raises(DataError, match="it changes a function"):
        read_batch(path)


def test_arrays_can_be_written_to(tmp_path: Path) -> None:
    path = tmp_path / "batch"
    path.write_bytes(pickle.dumps({b"data": np.zeros((2, 3072), np.uint8), b"labels": [0, 1]}, 2))
    assert read_batch(path).images.flags.writeable
    path.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 2, 5, 6]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.from_numpy(read_idx(path, 1)).tolist() == [5, 6]


def test_small_classes_are_in_every_part_or_refused() -> None:
    labels = np.repeat(np.arange(3), (3, 3, 200)).astype(np.int64)
    for seed in range(20):
        parts = stratified_split(labels, (0.8, 0.1, 0.1), np.random.default_rng(seed))
        assert sorted(np.concatenate(parts)) == list(range(206))
        assert all(len(np.unique(labels[part])) == 3 for part in parts)
    with pytest.raises(DataError, match="class 0 has 2 images, too few to split in 3"):
        stratified_split(labels[1:], (0.8, 0.1, 0.1), np.random.default_rng(0))


@pytest.mark.parametrize(
    ("name", "value"),
    [("epochs", 1.5), ("epochs", "3"), ("seed", -1), ("momentum", 1.0), ("learning_rate", 0.0)],
)
def test_bad_recipe_values(name: str, value: Any) -> None:
    with pytest.raises(SpecError, match="recipe: "):
        Recipe(**{name: value})
