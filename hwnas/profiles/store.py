"""A device profile on disk: ``device.toml``, ``measurements.jsonl``, ``predictor.json``."""

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from hwnas.errors import ProfileError, RequestError, UnknownNameError
from hwnas.files import append_text, make_folder, storage_error, write_text
from hwnas.profiles.conditions import Conditions, check
from hwnas.profiles.device import Device
from hwnas.profiles.freshness import MEASUREMENTS, sessions
from hwnas.profiles.lines import parse, sorted_text, to_text
from hwnas.profiles.lock import hold, try_hold
from hwnas.profiles.merge import Merged, joined, require_same
from hwnas.profiles.observation import Observation
from hwnas.profiles.records import Records, fusion_of

DEFAULT_FOLDER = "device_profiles"


def profiles_folder() -> Path:
    """Where profiles are: ``HWNAS_PROFILES``, or ``device_profiles`` below this folder.

    Raises:
        RequestError: A file stands there.
    """
    path = Path(os.environ.get("HWNAS_PROFILES") or DEFAULT_FOLDER)
    if path.exists() and not path.is_dir():
        raise RequestError(
            f"'{path}' is a file, but profiles are kept in a folder; set HWNAS_PROFILES to one"
        )
    return path


class DeviceProfile:
    """The profile of one device.

    Args:
        device: The device.
        folder: Its folder.
        on_wait: Called with a line for people while another process holds the device.
    """

    def __init__(
        self, device: Device, folder: Path, on_wait: Callable[[str], None] | None = None
    ) -> None:
        self.device = device
        self.folder = folder
        self.on_wait = on_wait

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
    def open(cls, name: str, on_wait: Callable[[str], None] | None = None) -> "DeviceProfile":
        """The profile of a known device.

        Args:
            name: Its name.
            on_wait: As in the constructor.

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
        return cls(Device.read(folder), folder, on_wait)

    @classmethod
    def at(cls, folder: Path) -> "DeviceProfile":
        """The profile in a folder anywhere, such as one copied from another machine.

        Raises:
            ProfileError: There is none, or its files are broken.
        """
        return cls(Device.read(folder), folder)

    @staticmethod
    def names() -> list[str]:
        """Names of the known devices."""
        return sorted(path.parent.name for path in profiles_folder().glob("*/device.toml"))

    @property
    def _path(self) -> Path:
        return self.folder / MEASUREMENTS

    @property
    def _lock_path(self) -> Path:
        return self.folder / ".lock"

    @property
    def predictor_path(self) -> Path:
        """Where the fitted predictor is."""
        return self.folder / "predictor.json"

    def read(self) -> Records:
        """Everything measured so far; a torn last line is dropped.

        Raises:
            ProfileError: The file or a line of it is broken, or of a newer schema.
        """
        try:
            payload = self._path.read_bytes()
        except FileNotFoundError:
            return Records()
        except OSError as error:
            raise ProfileError(
                f"'{self._path}' cannot be read: {error.strerror}; put back the file that it was"
            ) from error
        return parse(payload, self._path)

    def fusion(self) -> str:
        """As :meth:`Records.fusion`, of the device's runtime, without reading all that is there."""
        conditions = next(iter(sessions(self.folder).values()), {})
        return fusion_of(self.device.runtime, conditions)

    def append(
        self,
        observations: Iterable[Observation] = (),
        *,
        definitions: dict[str, dict[str, Any]] | None = None,
        sessions: dict[str, dict[str, Any]] | None = None,
    ) -> None:
        """Write records behind those that are there, all in one write.

        Args:
            observations: What was seen; none twice.
            definitions: What keys stand for.
            sessions: The conditions of the observations' sessions.

        Raises:
            ProfileError: An observation holds a value that could not be read again;
                nothing is written.
            StorageError: The disk is full or not writable; what was measured before is kept.
        """
        text = to_text(observations, definitions, sessions)
        if text:
            head = "" if self._has_line() else to_text(schema=True)
            append_text(self._path, head + text)

    @property
    def _stash_path(self) -> Path:
        return self.folder / ".visit.jsonl"

    def stash(
        self,
        observations: Iterable[Observation],
        definitions: dict[str, dict[str, Any]],
        sessions: dict[str, dict[str, Any]],
    ) -> None:
        """Set aside what a visit has seen so far, in place of what was set aside before.

        Raises:
            StorageError: The disk is full or not writable.
        """
        write_text(self._stash_path, to_text(observations, definitions, sessions, schema=True))

    def drop_stash(self) -> None:
        """Forget what was set aside: the visit is finished and kept."""
        self._stash_path.unlink(missing_ok=True)

    def recover(self) -> int:
        """Keep what a visit that was killed had set aside. Call it under the lock.

        Returns:
            Observations that were added.

        Raises:
            StorageError: The disk is full or not writable; nothing is lost.
        """
        try:
            stashed = parse(self._stash_path.read_bytes(), self._stash_path)
        except (OSError, ProfileError):
            return 0
        known = self.read().sessions
        new = [item for item in stashed.observations if item.session not in known]
        if new:
            self.append(new, definitions=stashed.definitions, sessions=stashed.sessions)
        self.drop_stash()
        return len(new)

    def _has_line(self) -> bool:
        """Whether a whole line, and so the schema, is in the file."""
        try:
            with self._path.open("rb") as stream:
                return stream.readline().endswith(b"\n")
        except FileNotFoundError:
            return False
        except OSError as error:
            raise storage_error(self._path, error) from error

    def compact(self) -> bool:
        """Write the records again sorted, so that two versions compare well.

        Returns:
            Whether it was done; where another process holds the device, what that
            appends meanwhile would be lost, so it is left to it.
        """
        with try_hold(self._lock_path) as held:
            if held:
                write_text(self._path, sorted_text(self.read()))
        return held

    @contextmanager
    def exclusive(self, on_wait: Callable[[str], None] | None = None) -> Iterator[None]:
        """Hold the device: one measuring session at a time; a second one waits.

        The lock is the system's and so dies with its holder.

        Args:
            on_wait: Called with a line that says for whom it waits, at once and
                every 30 s; without it, the profile's own.

        Raises:
            StorageError: The lock cannot be made.
        """
        with hold(self._lock_path, self.device.name, on_wait or self.on_wait):
            yield

    def merge(self, other: "DeviceProfile", *, force: bool = False) -> Merged:
        """Add what another profile of the same device holds; done whole or not at all.

        Sessions of the other that are new get names of their own; what is there
        already is not added again.

        Args:
            other: It is only read.
            force: Whether to go on where the runtime's version or the CPU differ.

        Returns:
            What was added.

        Raises:
            RequestError: It is another device, or was measured under other conditions.
            ProfileError: A file is broken, or the two contradict each other.
            StorageError: The disk is full or not writable; the profile is as before.
        """
        require_same(self.device, other.device)
        with self.exclusive():
            records, merged = joined(
                self.read(), other.read(), (self.device.name, str(other.folder)), force=force
            )
            if merged.anything:
                write_text(self._path, sorted_text(records))
        return merged

    def check_conditions(self, now: Conditions, *, force: bool = False) -> list[str]:
        """Warnings where what was measured may not hold now; none where nothing was measured.

        Args:
            now: The conditions of here and now, as ``conditions.of_worker`` gives them.
            force: Whether to go on where it does not hold.

        Raises:
            RequestError: It does not hold: the runtime, its version or the threads differ.
            ProfileError: The file is broken.
        """
        return check(self.device.name, self.read().sessions, now, force=force)

    def fit_needed(self, records: Records) -> bool:
        """Whether the predictor is missing, or was fitted on other records than these.

        The predictor's file names what it was fitted on by its digest, since times
        of files do not survive a clone.
        """
        try:
            value = json.loads(self.predictor_path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return True
        return not isinstance(value, dict) or value.get("fitted_on") != records.digest()

    def age_days(self, records: Records) -> float | None:
        """Days since something was measured, or ``None`` where nothing ever was.

        Args:
            records: What :meth:`read` gave. Where no session says when it was, the
                file's time counts.
        """
        if not self._path.exists():
            return None
        begun = self._path.stat().st_mtime
        times = records.times()
        if times:
            with suppress(ValueError):  # not a time: mended by hand
                begun = datetime.fromisoformat(times[-1]).timestamp()
        return (time.time() - begun) / 86400
