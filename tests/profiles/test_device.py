import pytest

from hwnas.errors import ProfileError
from hwnas.profiles import Device

WRONG = {
    "threads as text": ('threads = "two"', "threads must be a whole number, received 'two'"),
    "threads as truth": ("threads = true", "threads must be a whole number"),
    "no thread": ("threads = 0", "threads must be at least 1, received 0"),
    "a runtime of numbers": ("runtime = 3", "runtime must be a text, received 3"),
    "options as text": ('options = "cpu"', "options must be a table of texts"),
    "an option of numbers": ("[options]\nprovider = 1", "options must be a table of texts"),
    "an unknown field": ("thread = 2", "unknown field 'thread', a device has name, runtime"),
    "a precision unknown": ('precision = "int3"', "precision must be"),
}


@pytest.mark.parametrize(("line", "says"), WRONG.values(), ids=WRONG.keys())
def test_values_of_nonsense_are_named(tmp_path, line, says):
    path = tmp_path / "device.toml"
    path.write_text(f'schema = 1\nname = "d"\n{line}\n')
    with pytest.raises(ProfileError, match=says) as caught:
        Device.read(tmp_path)
    assert str(path) in str(caught.value) and "mend the file" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b'schema = 2\nname = "d"', "schema 2, this hwnas knows 1: update hwnas"),
        (b'schema = "1"\nname = "d"', "schema '1', this hwnas knows 1: mend"),
        (b'schema = true\nname = "d"', "schema True, this hwnas knows 1: mend"),
        (b'name = "d"', "schema None, this hwnas knows 1: mend"),
        (b'schema = 1\nname = "d"\nname = "e"', "not TOML: Cannot overwrite a value"),
        (b"schema = 1", "the device has no name"),
        (b"schema = ", "not TOML"),
        (b'schema = 1\nname = "\xff"', "not TOML"),
    ],
)
def test_files_of_nonsense_are_named(tmp_path, text, says):
    (tmp_path / "device.toml").write_bytes(text)
    with pytest.raises(ProfileError, match=says):
        Device.read(tmp_path)


def test_a_missing_file_and_a_directory_are_said(tmp_path):
    with pytest.raises(ProfileError, match="cannot be read: No such file"):
        Device.read(tmp_path)
    (tmp_path / "device.toml").mkdir()
    with pytest.raises(ProfileError, match="cannot be read: Is a directory"):
        Device.read(tmp_path)


def test_what_is_written_is_read(tmp_path):
    device = Device("d-1.x", threads=4, options={"provider": "cpu"})
    device.write(tmp_path)
    assert Device.read(tmp_path) == device


def test_the_runtime_is_told_options_and_precision(tmp_path):
    device = Device("d", "torch", precision="fp16", options={"provider": "cuda-graph"})
    assert device.told == {"provider": "cuda-graph", "precision": "fp16"}
    device.write(tmp_path)
    assert Device.read(tmp_path) == device
