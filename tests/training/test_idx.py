import gzip
import struct

import numpy as np
import pytest

from hwnas.errors import DataError
from hwnas.training import load_data
from hwnas.training.idx import read_idx


def encoded(array, magic=None):
    head = bytes([0, 0, 8, array.ndim]) if magic is None else magic
    return head + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.fixture
def folder(tmp_path):
    """40 training and 10 test images of the labels 3, 5 and 7; the test part gzipped."""
    rng = np.random.default_rng(0)
    for part, count in (("train", 40), ("t10k", 10)):
        images = rng.integers(0, 256, (count, 6, 5)).astype(np.uint8)
        images[:, 0, 0] = np.arange(count)
        labels = np.array([3, 5, 7], np.uint8)[np.arange(count) % 3]
        for name, array in (("images-idx3", images), ("labels-idx1", labels)):
            if part == "train":
                (tmp_path / f"{part}-{name}-ubyte").write_bytes(encoded(array))
            else:
                (tmp_path / f"{part}-{name}-ubyte.gz").write_bytes(gzip.compress(encoded(array)))
    return tmp_path


def test_what_was_written_is_read(folder):
    data = load_data(folder)
    assert data.class_names == ("3", "5", "7")
    assert data.test.images.shape == (10, 1, 6, 5)
    assert data.test.labels.tolist() == [i % 3 for i in range(10)]
    assert len(data.validation.labels) == 4
    numbers = []
    for part in (data.train, data.validation):
        # The first pixel is the image's number, and the number decides the label.
        numbers += part.images[:, 0, 0, 0].tolist()
        assert (part.images[:, 0, 0, 0] % 3 == part.labels).all()
    assert sorted(numbers) == list(range(40))


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("train-images-idx3-ubyte", lambda b: b[:-1], "header says"),
        ("train-images-idx3-ubyte", lambda b: b + b"x", "header says"),
        ("train-images-idx3-ubyte", lambda b: b[:9], "within its header"),
        ("train-images-idx3-ubyte", lambda b: b"\0\0\x0d\x03" + b[4:], "starts with"),
        ("train-images-idx3-ubyte", lambda b: b[:4] + b"\xff" * 12 + b[16:], "header says"),
        ("t10k-images-idx3-ubyte.gz", lambda b: b[:-20], "not a whole gzip"),
        ("t10k-images-idx3-ubyte.gz", lambda b: b"plain", "not a whole gzip"),
        ("train-labels-idx1-ubyte", lambda b: encoded(np.zeros(39, np.uint8)), "39 labels"),
        ("train-labels-idx1-ubyte", lambda b: encoded(np.zeros(40, np.uint8)), "never occurs"),
    ],
)
def test_broken_files_are_refused(folder, name, change, message):
    path = folder / name
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(DataError, match=message):
        load_data(folder)


def test_a_missing_file_is_named(folder):
    (folder / "train-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match="train-labels-idx1-ubyte"):
        load_data(folder)


def test_arrays_can_be_written_to(tmp_path):
    (tmp_path / "labels").write_bytes(encoded(np.array([5, 6], np.uint8)))
    found = read_idx(tmp_path / "labels", 1)
    # torch warns of arrays that cannot.
    assert found.tolist() == [5, 6] and found.flags.writeable


@pytest.mark.parametrize("part", ["train", "t10k"])
def test_a_part_without_images_is_refused(folder, part):
    for name, array in (
        ("images-idx3", np.zeros((0, 6, 5), np.uint8)),
        ("labels-idx1", np.zeros(0, np.uint8)),
    ):
        (folder / f"{part}-{name}-ubyte.gz").unlink(missing_ok=True)
        (folder / f"{part}-{name}-ubyte").write_bytes(encoded(array))
    with pytest.raises(DataError, match=f"there are no {part} images"):
        load_data(folder)


def test_images_of_one_class_are_refused(folder):
    for part, count, ending in (("train", 40, ""), ("t10k", 10, ".gz")):
        payload = encoded(np.full(count, 3, np.uint8))
        path = folder / f"{part}-labels-idx1-ubyte{ending}"
        path.write_bytes(gzip.compress(payload) if ending else payload)
    with pytest.raises(DataError, match="at least two classes to tell apart, found 1"):
        load_data(folder)


def test_test_images_of_another_size_are_refused(folder):
    path = folder / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(encoded(np.zeros((10, 7, 5), np.uint8))))
    with pytest.raises(DataError, match="test split: images of shape .* must have one shape"):
        load_data(folder)
