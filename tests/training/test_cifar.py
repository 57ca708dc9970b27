import io
import os
import pickle

import numpy as np
import pytest

from hwnas.errors import DataError
from hwnas.training import load_data
from hwnas.training.cifar import RestrictedUnpickler, read_batch

NAMES = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")


def batch(count=20, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (count, 3072)).astype(np.uint8)
    return {b"batch_label": b"one", b"data": pixels, b"labels": [i % 10 for i in range(count)]}


def write(path, content, protocol=2):
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


class Evil:
    """Makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_what_was_written_is_read(tmp_path):
    for seed, name in enumerate(NAMES):
        write(tmp_path / name, batch(seed=seed))
    data = load_data(tmp_path)
    assert (data.classes, data.class_names[3]) == (10, "cat")
    assert np.array_equal(data.test.images.reshape(20, -1), batch(seed=5)[b"data"])
    assert data.test.labels.tolist() == batch()[b"labels"]
    assert (len(data.train.labels), len(data.validation.labels)) == (90, 10)
    wanted = {
        row.tobytes(): i % 10 for s in range(5) for i, row in enumerate(batch(20, s)[b"data"])
    }
    for part in (data.train, data.validation):
        for image, label in zip(part.images, part.labels.tolist(), strict=True):
            assert wanted.pop(image.tobytes()) == label
    assert not wanted


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_protocols_and_column_major_arrays(tmp_path, protocol):
    content = batch()
    content[b"data"] = np.asfortranarray(content[b"data"])
    split = read_batch(write(tmp_path / "b", content, protocol))
    assert np.array_equal(split.images.reshape(20, -1), content[b"data"])


def test_a_payload_does_not_run(tmp_path):
    target = tmp_path / "made"
    for place in (Evil(target), batch() | {b"labels": Evil(target)}):
        path = write(tmp_path / "evil", place)
        with pytest.raises(DataError, match="not allowed"):
            read_batch(path)
        assert not target.exists()
    # The same file does make the folder where names are not restricted.
    pickle.loads(path.read_bytes())
    assert target.exists()


@pytest.mark.parametrize("name", [b"cbuiltins\neval\n.", b"cnumpy\nload\n.", b"cos\nsystem\n."])
def test_other_names_are_refused(name):
    with pytest.raises(pickle.UnpicklingError, match="not allowed"):
        RestrictedUnpickler(io.BytesIO(name)).load()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({b"labels": [0] * 19}, "20 images have 19 labels"),
        ({b"labels": [10] * 20}, "whole numbers from 0 to 9"),
        ({b"labels": ["1"] * 20}, "whole numbers"),
        ({b"labels": None}, "is missing"),
        ({b"data": np.zeros((20, 3071), np.uint8)}, "rows of 3072"),
        ({b"data": np.zeros((20, 3072), np.float32)}, "not of unsigned bytes"),
    ],
)
def test_other_contents_are_refused(tmp_path, change, message):
    with pytest.raises(DataError, match=message):
        read_batch(write(tmp_path / "b", batch() | change))


def test_torn_and_missing_files_are_refused(tmp_path):
    path = write(tmp_path / "test_batch", batch())
    with pytest.raises(DataError, match="has no data_batch_1"):
        load_data(tmp_path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match="not a CIFAR-10 batch"):
        read_batch(path)
    with pytest.raises(DataError, match="no dictionary"):
        read_batch(write(path, [1]))


def test_a_pickle_cannot_change_the_reader(tmp_path):
    path = tmp_path / "batch"
    # BUILD with a pair as its state would set attributes of the function.
    path.write_bytes(b"\x80\x02c_codecs\nencode\nN}X\x0c\0\0\0__defaults__N\x85s\x86b.")
    with pytest.raises(DataError, match="it changes a function"):
        read_batch(path)


def test_images_can_be_written_to(tmp_path):
    # torch warns of arrays that cannot.
    assert read_batch(write(tmp_path / "batch", batch())).images.flags.writeable


def test_images_of_one_class_and_empty_batches_are_refused(tmp_path):
    same = batch() | {b"labels": [4] * 20}
    for name in NAMES:
        write(tmp_path / name, same)
    with pytest.raises(DataError, match="all images are of one class, 'deer'"):
        load_data(tmp_path)
    for name in NAMES:
        write(tmp_path / name, batch(count=0), protocol=4)
    with pytest.raises(DataError, match="there are no images; every split needs some"):
        load_data(tmp_path)
