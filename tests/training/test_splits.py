import numpy as np
import pytest

from hwnas.errors import DataError
from hwnas.training.splits import stratified_split

SHARES = (0.6, 0.2, 0.2)


@pytest.mark.parametrize("seed", range(3))
def test_splits_are_disjoint_and_keep_the_classes(seed):
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(3), (50, 30, 20)))
    parts = stratified_split(labels, SHARES, np.random.default_rng(seed))
    assert sorted(np.concatenate(parts).tolist()) == list(range(100))
    for part, share in zip(parts, SHARES, strict=True):
        assert part.dtype == np.int64 and (np.diff(part) > 0).all()
        assert len(part) == round(100 * share)
        assert abs(np.bincount(labels[part]) - share * np.array([50, 30, 20])).max() <= 1


def test_small_classes_are_in_every_part():
    labels = np.repeat(np.arange(3), (3, 3, 200))
    for seed in range(20):
        parts = stratified_split(labels, (0.8, 0.1, 0.1), np.random.default_rng(seed))
        assert sorted(np.concatenate(parts)) == list(range(206))
        assert all(len(np.unique(labels[part])) == 3 for part in parts)


def test_a_class_with_fewer_items_than_parts_is_refused():
    labels = np.array([0, 0, *[7] * 30])
    with pytest.raises(DataError, match="class 0 has 2 images, too few to split in 3"):
        stratified_split(labels, SHARES, np.random.default_rng(0))


def test_the_parts_come_from_the_generator():
    labels = np.repeat(np.arange(2), 50)
    first, again, other = (
        stratified_split(labels, (0.5, 0.5), np.random.default_rng(seed))[0].tolist()
        for seed in (0, 0, 1)
    )
    assert first == again != other
