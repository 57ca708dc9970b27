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


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_pixels_that_are_not_finite_are_refused(tmp_path, value):
    write(tmp_path, ending="tiff")
    pixels = np.full((4, 6), 7, np.float32)
    Image.fromarray(pixels).save(tmp_path / "red" / "0.tiff")
    assert load_data(tmp_path).channels == 3
    pixels[1, 2] = value
    Image.fromarray(pixels).save(tmp_path / "red" / "0.tiff")
    with pytest.raises(DataError, match="0.tiff' has pixels that are not finite"):
        load_data(tmp_path)


def test_a_split_of_one_class_and_an_empty_one_are_refused(tmp_path):
    for part in ("train", "val", "test"):
        write(tmp_path / "same" / part, 4)
    for path in (tmp_path / "same/val/red").iterdir():
        path.unlink()
    with pytest.raises(DataError, match="validation split: all images are of one class, 'blue'"):
        load_data(tmp_path / "same")
    write(tmp_path / "empty" / "train")
    (tmp_path / "empty" / "val").mkdir()
    with pytest.raises(DataError, match="nothing is left for validation"):
        load_data(tmp_path / "empty")


def test_images_of_different_sizes_are_brought_to_that_of_the_first(tmp_path):
    write(tmp_path)
    Image.new("RGB", (31, 17), (200, 0, 0)).save(tmp_path / "red" / "0.png")
    assert load_data(tmp_path).train.images.shape[1:] in {(3, 4, 6), (3, 17, 31)}
