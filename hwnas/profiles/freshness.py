"""What a profile holds now, told without reading it line by line where nothing has changed."""

import hashlib
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from hwnas.errors import ProfileError, StorageError
from hwnas.files import write_text
from hwnas.profiles.lines import parse

MEASUREMENTS = "measurements.jsonl"
KNOWN = ".digest.json"
"""Beside the measurements: their digest, and the hash of the file of which it is one."""


def digest(folder: Path) -> str:
    """:meth:`Records.digest` of a profile's measurements.

    To parse 4 MB and hash every record takes half a second, to hash the file 10 ms: so the digest
    is kept with the hash of the file. Where that cannot be written, it is found anew each time.

    Args:
        folder: The profile's folder.

    Raises:
        ProfileError: A line of the file is broken.
    """
    path, known = folder / MEASUREMENTS, folder / KNOWN
    payload = _payload(path)
    file = hashlib.sha256(payload).hexdigest()
    with suppress(OSError, ValueError, RecursionError):
        value = json.loads(known.read_text(encoding="utf-8"))
        if isinstance(value, dict) and value.get("file") == file:
            kept = value.get("digest")
            if isinstance(kept, str):
                return kept
    found = parse(payload, path).digest()
    with suppress(StorageError):
        write_text(known, json.dumps({"digest": found, "file": file}) + "\n")
    return found


def sessions(folder: Path) -> dict[str, dict[str, Any]]:
    """The conditions of each session of a profile; lines that are broken are passed by.

    Args:
        folder: The profile's folder.

    Raises:
        ProfileError: The file cannot be read.
    """
    found = {}
    for raw in _payload(folder / MEASUREMENTS).split(b"\n"):
        if b'"conditions"' not in raw:
            continue
        with suppress(ValueError, RecursionError):
            value = json.loads(raw)
            if isinstance(value, dict) and isinstance(value.get("conditions"), dict):
                found[str(value.get("session"))] = value["conditions"]
    return found


def _payload(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise ProfileError(
            f"'{path}' cannot be read: {error.strerror}; put back the file that it was"
        ) from error
