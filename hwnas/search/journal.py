"""The journal of a study: JSON lines that survive being cut off."""

import json
import os
from pathlib import Path
from typing import Any

from hwnas.errors import RequestError, StorageError
from hwnas.files import append_text, storage_error

SCHEMA = 2
Event = dict[str, Any]


class Journal:
    """Appends events in one write each; a torn last line is dropped.

    Args:
        path: The file.
        header: What the study is; a journal of another study is refused.
        resume: Go on with a journal that exists.
        what: What it is the journal of, for errors.

    Raises:
        RequestError: The journal exists and ``resume`` is false, or it belongs
            to another study.
        StorageError: It cannot be read or written.
    """

    def __init__(self, path: Path, header: Event, *, resume: bool, what: str = "search") -> None:
        self.path = path
        self._what = what
        self.events: list[Event] = []
        own = json.loads(json.dumps({"schema": SCHEMA, **header}))
        if path.exists() and path.stat().st_size > 0:
            if not resume:
                raise RequestError(
                    f"'{path}' holds a {what} already; give --resume to go on with it, or "
                    "another --run folder"
                )
            self.events = self._read(own)
        if not self.events:
            self.append(own)

    def _read(self, own: Event) -> list[Event]:
        events, size = read_events(self.path, what=self._what)
        try:
            if size < self.path.stat().st_size:
                os.truncate(self.path, size)
        except OSError as error:
            raise storage_error(self.path, error) from error
        if events and events[0] != own:
            different = [key for key in own if events[0].get(key) != own[key]]
            raise RequestError(
                f"'{self.path}' belongs to another {self._what}: {', '.join(different)} differ; "
                "give another --run folder"
            )
        return events

    def append(self, event: Event) -> None:
        """Write one event.

        Raises:
            StorageError: The disk is full or not writable; earlier events are kept.
        """
        append_text(
            self.path,
            json.dumps(event, separators=(",", ":")) + "\n",
            kept=f"the {len(self.events)} events before are kept",
        )
        self.events.append(event)


def read_events(path: Path, *, what: str = "search") -> tuple[list[Event], int]:
    """The events of a journal, its header first, and the bytes that they take.

    A torn last line is left out; it may still be being written.

    Args:
        path: The file.
        what: What it should be the journal of, for errors.

    Raises:
        StorageError: It cannot be read.
        RequestError: It is no such journal, or a line before the last is broken.
    """
    try:
        payload = path.read_bytes()
    except OSError as error:
        raise StorageError(f"'{path}' cannot be read: {error.strerror}") from error
    whole = payload[: payload.rfind(b"\n") + 1]
    events = []
    for number, line in enumerate(whole.splitlines(), 1):
        try:
            events.append(json.loads(line))
        except ValueError as error:
            raise RequestError(
                f"'{path}', line {number} is broken ({error}); remove the line"
            ) from error
    if not all(isinstance(event, dict) for event in events):
        raise RequestError(f"'{path}' is no journal of a {what}; give another --run folder")
    if events and "schema" not in events[0]:
        raise RequestError(
            f"'{path}' lacks its first line, which says what {what} it is of; give another "
            "--run folder"
        )
    return events, len(whole)
