from importlib.metadata import EntryPoint

import pytest

from hwnas.errors import SpecError, UnknownNameError
from hwnas.spaces import registry, space, spaces


def test_overrides_set_image_size_and_classes():
    found = space("mobilenet-32:image_size=48,classes=7,input_channels=1")
    architecture = found.decode(found.references["mobilenetv2-like"])
    assert architecture.input_shape == (1, 48, 48)
    assert architecture.output_shape == (7,)
    assert found.name == "mobilenet-32:image_size=48,classes=7,input_channels=1"


@pytest.mark.parametrize("name", registry.SPACES)
def test_every_built_in_space_takes_all_overrides(name):
    found = space(f"{name}:image_size=64,classes=4,input_channels=2")
    architecture = found.decode(next(iter(found.references.values())))
    assert (architecture.input_shape, architecture.output_shape) == ((2, 64, 64), (4,))


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("mobilnet", UnknownNameError, "did you mean mobilenet"),
        ("mobilenet-32:depth=3", SpecError, "it has image_size, classes, input_channels"),
        ("mobilenet-32:classes=x", SpecError, "positive whole number, received 'x'"),
        ("mobilenet-32:classes=0", SpecError, "positive whole number"),
        ("mobilenet-32:classes", SpecError, "positive whole number, received ''"),
        ("mobilenet-32:classes=2,classes=3", SpecError, "'classes' stands twice"),
        ("mobilenet-32:classes=1", SpecError, "from 2 to"),
        ("mobilenet-32:image_size=4", SpecError, "image_size must be at least"),
    ],
)
def test_wrong_names_and_settings_say_what_is_allowed(text, error, says):
    with pytest.raises(error, match=says):
        space(text)


def picky(name, *, classes=2):
    return space(f"resnet-32:classes={classes}")


def test_entry_points_add_spaces_but_do_not_replace_the_built_in_ones(monkeypatch):
    entries = [EntryPoint(name, "own:picky", "hwnas.spaces") for name in ("own", "resnet")]
    monkeypatch.setattr(EntryPoint, "load", lambda entry: picky)
    monkeypatch.setattr(registry, "entry_points", lambda *, group: entries)
    assert set(spaces()) == {*registry.SPACES, "own"}
    assert spaces()["resnet"] is registry.SPACES["resnet"]
    assert space("own:classes=5").classes == 5
    with pytest.raises(SpecError, match="space 'own': .*image_size"):
        space("own:image_size=64")
