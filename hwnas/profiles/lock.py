"""The lock of a device: one holder, and waiters that say for whom they wait.

What counts is the system's lock on the file, which dies with its holder. The
text in it is for people: it may be missing, stale or unreadable, and the lock
holds all the same.
"""

import fcntl
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hwnas.errors import StorageError
from hwnas.files import make_folder, storage_error

NOTE_EVERY_S = 30.0
POLL_S = 0.2
_SHOWN = 80


@contextmanager
def hold(path: Path, device: str, on_wait: Callable[[str], None] | None = None) -> Iterator[None]:
    """Hold a device, waiting until no other process does.

    Args:
        path: The lock file.
        device: Name of the device, for the text.
        on_wait: Called with a line for people when it has to wait, and every
            ``NOTE_EVERY_S`` seconds from then on.

    Raises:
        StorageError: The file cannot be made or locked.
    """
    with _opened(path) as handle:
        due = time.monotonic()
        while not _locked(handle, path):
            if on_wait is not None and time.monotonic() >= due:
                due = time.monotonic() + NOTE_EVERY_S
                on_wait(f"device '{device}' is being measured by {_holder(handle)}; waiting")
            time.sleep(POLL_S)
        with _signed(handle):
            yield


@contextmanager
def try_hold(path: Path) -> Iterator[bool]:
    """Hold a device if no other process does, and say whether it is held.

    Raises:
        StorageError: The file cannot be made or locked.
    """
    with _opened(path) as handle:
        if not _locked(handle, path):
            yield False
            return
        with _signed(handle):
            yield True


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    make_folder(path.parent)
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise storage_error(path, error) from error
    try:
        yield handle
    finally:
        os.close(handle)


def _locked(handle: int, path: Path) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise StorageError(
            f"'{path}' cannot be locked: {error.strerror}; keep profiles on a local disk "
            "(HWNAS_PROFILES)"
        ) from error
    return True


@contextmanager
def _signed(handle: int) -> Iterator[None]:
    """While a lock is held, its file says by whom."""
    command = " ".join([os.path.basename(sys.argv[0]), *sys.argv[1:]])
    text = json.dumps({"pid": os.getpid(), "command": command, "since": int(time.time())})
    # On a full disk the lock holds without its text.
    with suppress(OSError):
        os.ftruncate(handle, 0)
        os.pwrite(handle, (text + "\n").encode(), 0)
    try:
        yield
    finally:
        with suppress(OSError):
            os.ftruncate(handle, 0)
        fcntl.flock(handle, fcntl.LOCK_UN)


def _holder(handle: int) -> str:
    """Who holds the lock, as far as its text can be read."""
    try:
        value = json.loads(os.pread(handle, 1 << 16, 0))
        pid, command, since = int(value["pid"]), str(value["command"]), float(value["since"])
        if not _runs(pid):
            return "another process"  # a text that its writer could not remove
        begun = time.localtime(since)
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return "another process"
    command = "".join(c if c.isprintable() else "?" for c in command)
    if len(command) > _SHOWN:
        command = command[: _SHOWN - 1] + "…"
    today = begun[:3] == time.localtime()[:3]
    when = time.strftime("%H:%M" if today else "%Y-%m-%d %H:%M", begun)
    return f"process {pid} ({command}) since {when}"


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
