"""State on disk: written whole or not at all, read without running what it holds."""

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Any

import torch

from hwnas.errors import RequestError, StorageError
from hwnas.files import storage_error

State = dict[str, Any]
PARTIAL = ".partial"
"""How the names of files end that are still being written."""


def save_state(path: Path, state: State) -> None:
    """Write a state of tensors and plain values, atomically.

    Raises:
        StorageError: The file cannot be written; one that was there is unchanged.
    """
    partial: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # A name of its own, since threads of one process may save the same file.
        handle, partial = tempfile.mkstemp(PARTIAL, f".{path.name}.", path.parent)
        with os.fdopen(handle, "wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(partial, 0o644)
        os.replace(partial, path)
        partial = None
    except OSError as error:
        raise storage_error(path, error, "what was saved before is kept") from error
    # torch reports a full disk as RuntimeError.
    except RuntimeError as error:
        raise StorageError(
            f"'{path}' cannot be written, the disk may be full; what was saved before is kept"
        ) from error
    finally:
        if partial is not None:
            # What failed is told already, and says more than that this fails too.
            with contextlib.suppress(OSError):
                os.unlink(partial)


def load_state(path: Path) -> State:
    """The state that :func:`save_state` wrote.

    Raises:
        StorageError: The file cannot be read, or is not such a state.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    # A torn file fails in nearly any way within torch; whatever it is, the file is bad.
    except Exception as error:
        reason = error.strerror if isinstance(error, OSError) else "it is torn or of another kind"
        raise StorageError(
            f"'{path}' cannot be read as a checkpoint: {reason}. Delete it to start anew."
        ) from error
    if not isinstance(state, dict):
        raise StorageError(f"'{path}' is not a checkpoint. Delete it to start anew.")
    return state


def check_identity(path: Path, own: State, found: State, what: str = "training") -> None:
    """Refuse the checkpoint of something else.

    Args:
        path: The file, for the error.
        own: What decides the result, by name, of what is to go on.
        found: The same of the checkpoint.
        what: What it is the checkpoint of.

    Raises:
        RequestError: They differ.
    """
    foreign = [name for name in own if own[name] != found.get(name)]
    if foreign:
        raise RequestError(
            f"checkpoint '{path}' belongs to another {what}: it differs in "
            f"{', '.join(foreign)}. Give another path, or delete it to start anew."
        )
