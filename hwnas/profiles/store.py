"""A device profile on disk: ``device.toml``, ``measurements.jsonl``, ``predictor.json``."""

import fcntl
import json
import os
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hwnas.errors import ProfileError, RequestError, UnknownNameError
from hwnas.profiles.device import Device
from hwnas.profiles.files import append_text, make_folder, storage_error, write_text
from hwnas.profiles.observation import Measurement, Observation, combine

SCHEMA = 1
DEFAULT_FOLDER = "device_profiles"


def profiles_folder() -> Path:
    """Where profiles are: ``HWNAS_PROFILES``, or ``device_profiles`` below this folder."""
    return Path(os.environ.get("HWNAS_PROFILES") or DEFAULT_FOLDER)


@dataclass
class Records:
    """What a profile holds.

    Args:
        observations: In the order in which they were written.
        definitions: What a ``block:…`` or ``network:…`` key stands for.
        sessions: Conditions of each worker process.
    """

    observations: list[Observation] = field(default_factory=list)
    definitions: dict[str, dict[str, Any]] = field(default_factory=dict)
    sessions: dict[str, dict[str, Any]] = field(default_factory=dict)

    def measurements(self) -> dict[str, Measurement]:
        """One measurement per part that was seen without failure."""
        groups: dict[str, list[Observation]] = defaultdict(list)
        for item in self.observations:
            if item.failure is None:
                groups[item.key].append(item)
        best = min((item.canary_ms for items in groups.values() for item in items), default=0.0)
        return {key: combine(items, best) for key, items in groups.items()}

    def session_counts(self) -> dict[str, int]:
        """In how many processes each part was seen; failures count as done."""
        counts: dict[str, int] = defaultdict(int)
        for item in self.observations:
            counts[item.key] += 1000 if item.failure is not None else 1
        return dict(counts)


class DeviceProfile:
    """The profile of one device.

    Args:
        device: The device.
        folder: Its folder.
    """

    def __init__(self, device: Device, folder: Path) -> None:
        self.device = device
        self.folder = folder

    @classmethod
    def create(cls, device: Device) -> "DeviceProfile":
        """A new, empty profile.

        Raises:
            RequestError: The name is taken.
            StorageError: The folder cannot be written.
        """
        folder = profiles_folder() / device.name
        if (folder / "device.toml").exists():
            raise RequestError(
                f"device '{device.name}' exists in '{folder}'; choose another name, "
                "or remove that folder"
            )
        make_folder(folder)
        device.write(folder)
        return cls(device, folder)

    @classmethod
    def open(cls, name: str) -> "DeviceProfile":
        """The profile of a known device.

        Raises:
            UnknownNameError: No device has that name.
            ProfileError: Its files are broken.
        """
        if name not in cls.names():
            raise UnknownNameError(
                "device",
                name,
                cls.names(),
                f"Make one: hwnas device new {name} --runtime onnxruntime",
            )
        folder = profiles_folder() / name
        return cls(Device.read(folder), folder)

    @staticmethod
    def names() -> list[str]:
        """Names of the known devices."""
        return sorted(path.parent.name for path in profiles_folder().glob("*/device.toml"))

    @property
    def _path(self) -> Path:
        return self.folder / "measurements.jsonl"

    @property
    def predictor_path(self) -> Path:
        """Where the fitted predictor is."""
        return self.folder / "predictor.json"

    def read(self) -> Records:
        """Everything measured so far; a torn last line is dropped.

        Raises:
            ProfileError: A line is broken, or of a newer schema.
        """
        records = Records()
        if not self._path.exists():
            return records
        try:
            lines = self._path.read_text(encoding="utf-8", errors="replace").split("\n")
        except OSError as error:
            raise ProfileError(f"'{self._path}' cannot be read: {error.strerror}") from error
        for number, line in enumerate(lines, 1):
            if not line:
                continue
            try:
                self._take(records, json.loads(line))
            except (json.JSONDecodeError, TypeError, KeyError) as error:
                if number >= len(lines):
                    continue
                if not line.endswith("}"):
                    continue  # torn by a write that was cut off; append_text ended it
                raise ProfileError(
                    f"'{self._path}', line {number} is broken ({error}); remove the line"
                ) from error
        return records

    def _take(self, records: Records, value: dict[str, Any]) -> None:
        if "schema" in value:
            if value["schema"] != SCHEMA:
                raise ProfileError(
                    f"'{self._path}' has schema {value['schema']}, this hwnas knows {SCHEMA}: "
                    "update hwnas"
                )
        elif "define" in value:
            records.definitions[value["define"]] = value["as"]
        elif "conditions" in value:
            records.sessions[value["session"]] = value["conditions"]
        else:
            records.observations.append(Observation(**value))

    def append(
        self,
        observations: Iterable[Observation] = (),
        *,
        definitions: dict[str, dict[str, Any]] | None = None,
        sessions: dict[str, dict[str, Any]] | None = None,
    ) -> None:
        """Write records behind those that are there.

        Raises:
            StorageError: The disk is full or not writable; what was measured before is kept.
        """
        values: list[dict[str, Any]] = []
        if not self._path.exists():
            values.append({"schema": SCHEMA})
        values += [{"session": k, "conditions": v} for k, v in (sessions or {}).items()]
        values += [{"define": k, "as": v} for k, v in (definitions or {}).items()]
        values += [item.to_json() for item in observations]
        if values:
            append_text(self._path, "".join(_line(value) for value in values))

    def compact(self) -> None:
        """Write the records again sorted, so that two versions compare well."""
        records = self.read()
        values: list[dict[str, Any]] = [{"schema": SCHEMA}]
        values += [{"session": k, "conditions": v} for k, v in sorted(records.sessions.items())]
        values += [{"define": k, "as": v} for k, v in sorted(records.definitions.items())]
        values += [
            item.to_json()
            for item in sorted(records.observations, key=lambda item: (item.key, item.session))
        ]
        write_text(self._path, "".join(_line(value) for value in values))

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the device: one measuring session at a time; a second one waits.

        The lock is the system's and so dies with its holder.
        """
        path = make_folder(self.folder) / ".lock"
        try:
            stream = path.open("a+")
        except OSError as error:
            raise storage_error(path, error) from error
        with stream:
            while True:
                try:
                    fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    time.sleep(0.2)
            yield

    def age_days(self) -> float | None:
        """Days since something was measured, or ``None``."""
        if not self._path.exists():
            return None
        return (time.time() - self._path.stat().st_mtime) / 86400


def _line(value: dict[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False) + "\n"
