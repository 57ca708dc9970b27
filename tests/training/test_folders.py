import numpy as np
import pytest
from PIL import Image

from hwnas.errors import DataError
from hwnas.training import load_data

COLOURS = {"blue": (0, 0, 200), "red": (200, 0, 0)}


def write(folder, count=10, size=(6, 4), colours=COLOURS, ending="png"):
    """``count`` images of each class, all of the class's colour; returns the folder."""
    for name, colour in colours.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            Image.new("RGB", size, colour).save(folder / name / f"{number}.{ending}")
    return folder


@pytest.mark.parametrize("ending", ["png", "bmp", "ppm", "tiff"])
def test_classes_are_split(tmp_path, ending):
    data = load_data(write(tmp_path, ending=ending))
    assert data.class_names == ("blue", "red")
    assert [len(data.split(p).labels) for p in ("train", "validation", "test")] == [12, 4, 4]
    for part in (data.train, data.validation, data.test):
        assert part.images.shape[1:] == (3, 4, 6)
        for image, label in zip(part.images, part.labels, strict=True):
            assert (image == np.array(COLOURS[data.class_names[label]])[:, None, None]).all()


def test_own_splits_are_kept_and_images_brought_to_one_size(tmp_path):
    for part, count in (("train", 5), ("val", 2), ("test", 3)):
        write(tmp_path / part, count, size=(4 + count, 4))
    data = load_data(tmp_path, size=8)
    assert [len(data.split(p).labels) for p in ("train", "validation", "test")] == [10, 4, 6]
    assert data.test.images.shape == (6, 3, 8, 8)


def test_grey_and_transparent_images_become_rgb(tmp_path):
    write(tmp_path)
    Image.new("L", (6, 4), 7).save(tmp_path / "red" / "0.png")
    Image.new("RGBA", (6, 4), (200, 0, 0, 10)).save(tmp_path / "red" / "1.png")
    assert load_data(tmp_path).channels == 3


def test_bad_folders_are_refused(tmp_path):
    with pytest.raises(DataError, match="found 1 folders"):
        load_data(write(tmp_path / "one", colours={"red": (1, 0, 0)}))
    with pytest.raises(DataError, match="too few to split"):
        load_data(write(tmp_path / "few", 1))
    broken = write(tmp_path / "broken")
    (broken / "red" / "0.png").write_bytes((broken / "red" / "0.png").read_bytes()[:40])
    with pytest.raises(DataError, match="not an image"):
        load_data(broken)
    write(tmp_path / "other" / "train")
    write(tmp_path / "other" / "test", colours={"green": (0, 1, 0)})
    with pytest.raises(DataError, match="'green' has no training images"):
        load_data(tmp_path / "other")
