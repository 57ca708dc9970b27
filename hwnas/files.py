"""Files that are written whole or not at all, and lines that are appended whole."""

import errno
import os
import tempfile
from pathlib import Path

from hwnas.errors import RequestError, StorageError

_CAUSES = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the disk is read-only",
    errno.EACCES: "permission is denied",
    errno.EFBIG: "the file would be larger than is allowed",
    errno.EISDIR: "a directory stands in its place",
}


def storage_error(path: Path, error: OSError, kept: str = "") -> StorageError:
    """The error for a file that could not be written, with what is kept."""
    cause = _CAUSES.get(error.errno or 0, error.strerror or str(error))
    return StorageError(f"'{path}' cannot be written: {cause}" + (f"; {kept}" if kept else ""))


def make_folder(path: Path) -> Path:
    """The folder, made if it is not there.

    Raises:
        RequestError: A file stands in its place, or a name is too long.
        StorageError: It cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise RequestError(
            f"'{path}' cannot be a folder: a file stands in its place; give another path"
        ) from error
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise RequestError(f"the name '{str(path)[:60]}…' is too long") from error
        raise storage_error(path, error) from error
    return path


def write_bytes(path: Path, payload: bytes) -> None:
    """Write a file through a temporary one beside it, so that it is whole or as before.

    Raises:
        StorageError: The disk is full or not writable; what stood there is kept.
    """
    make_folder(path.parent)
    temporary: str | None = None
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as stream:
            stream.write(payload)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        raise storage_error(path, error, "what stood there is kept") from error
    finally:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)


def write_text(path: Path, text: str) -> None:
    """As :func:`write_bytes`, for text."""
    write_bytes(path, text.encode("utf-8"))


def append_text(path: Path, text: str, *, kept: str = "what was measured before is kept") -> None:
    """Append to a file in one write.

    A torn last line, left by a write that was cut off, is ended first, so that
    it cannot swallow what follows.

    Args:
        path: The file.
        text: Whole lines.
        kept: What an error says of what was there before.

    Raises:
        StorageError: The disk is full or not writable; the file is as it was before.
    """
    make_folder(path.parent)
    existed = path.exists()
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            _append(handle, text.encode("utf-8"))
        except OSError:
            if not existed:
                os.unlink(path)
            raise
        finally:
            os.close(handle)
    except OSError as error:
        raise storage_error(path, error, kept) from error


def _append(handle: int, payload: bytes) -> None:
    """Write behind what is there and on to the disk, or leave the file as it was."""
    size = os.fstat(handle).st_size
    if size and os.pread(handle, 1, size - 1) != b"\n":
        payload = b"\n" + payload
    try:
        if os.write(handle, payload) < len(payload):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(handle)
    except OSError:
        if os.fstat(handle).st_size > size:
            os.ftruncate(handle, size)
        raise
