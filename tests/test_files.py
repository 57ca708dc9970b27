import errno
import os

import pytest

from hwnas.errors import RequestError, StorageError
from hwnas.files import append_text, write_text


def short_write(handle, payload, *, write=os.write):
    return write(handle, payload[: len(payload) // 2])


def no_room(handle, payload=b""):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("before", [None, b"", b"whole\n", b'whole\n{"torn'])
@pytest.mark.parametrize(
    ("call", "fault"), [("write", short_write), ("write", no_room), ("fsync", no_room)]
)
def test_a_disk_that_fills_leaves_the_file_as_it_was(tmp_path, monkeypatch, before, call, fault):
    path = tmp_path / "file"
    if before is not None:
        path.write_bytes(before)
    with monkeypatch.context() as patch:
        patch.setattr(os, call, fault)
        with pytest.raises(StorageError, match="file' cannot be written: the disk is full; what"):
            append_text(path, "line\n" * 100)
    assert (path.read_bytes() if path.exists() else None) == before
    append_text(path, "line\n")
    assert path.read_bytes().endswith(b"\nline\n" if before else b"line\n")


def test_a_write_that_fails_or_is_interrupted_leaves_the_old_file_and_nothing_else(
    tmp_path, monkeypatch
):
    path = tmp_path / "file"
    write_text(path, "old")

    def interrupted(handle):
        raise KeyboardInterrupt

    for fault, error in ((no_room, StorageError), (interrupted, KeyboardInterrupt)):
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fault)
            with pytest.raises(error):
                write_text(path, "new")
        assert [item.name for item in tmp_path.iterdir()] == ["file"]
        assert path.read_text() == "old"
    with pytest.raises(RequestError, match="a file stands in its place"):
        write_text(path / "below a file", "new")


def test_a_directory_in_the_place_of_a_file_is_said(tmp_path):
    (tmp_path / "file").mkdir()
    for call in (append_text, write_text):
        with pytest.raises(StorageError, match="a directory stands in its place"):
            call(tmp_path / "file", "line\n")
    assert [item.name for item in tmp_path.iterdir()] == ["file"]
