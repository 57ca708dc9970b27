import numpy as np
import pytest
from sklearn.datasets import load_digits

from hwnas.errors import DataError
from hwnas.training import load_data


def test_digits_are_split_by_class_and_nothing_is_lost():
    data = load_data("digits")
    labels = np.concatenate([data.split(p).labels for p in ("train", "validation", "test")])
    wanted = np.bincount(load_digits(return_X_y=True)[1])
    assert np.bincount(labels).tolist() == wanted.tolist()
    assert data.train.images.shape == (round(0.6 * 1797), 1, 32, 32)
    again, other = load_data("digits"), load_data("digits", seed=1)
    assert np.array_equal(data.test.images, again.test.images)
    assert not np.array_equal(data.test.images, other.test.images)


def test_unknown_names_and_files_are_refused(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(DataError, match="does not exist"):
        load_data("no-such-data")
    with pytest.raises(DataError, match="is not a folder"):
        load_data(file)
    file.unlink()
    with pytest.raises(DataError, match="at least two classes"):
        load_data(tmp_path)
