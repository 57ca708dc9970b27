"""The checkpoint of a relaxation: one JSON file that names the weights beside it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hwnas.errors import RequestError, StorageError
from hwnas.files import make_folder, storage_error, write_text

FILE = "relaxation.json"
State = dict[str, Any]


class Checkpoint:
    """A folder that holds the last state of one relaxation, whole or not at all.

    Args:
        folder: Where it is.
        identity: What the relaxation is, as plain values; another's is refused.
    """

    def __init__(self, folder: Path, identity: State) -> None:
        self.folder = folder
        self.identity: State = json.loads(json.dumps(identity))

    @property
    def path(self) -> Path:
        """The file that names the rest."""
        return self.folder / FILE

    def write(self, state: State, step: int, save: Callable[[Path], None]) -> None:
        """Write a state, in place of the one before.

        Args:
            state: Plain values.
            step: Names the file of the weights.
            save: Writes the weights to a path.

        Raises:
            StorageError: The disk is full or not writable; the one before is kept.
        """
        weights = f"weights-{step}.pt"
        payload = {"identity": self.identity, "weights": weights, "state": state}
        make_folder(self.folder)
        try:
            # The JSON names weights that are there already, so a cut between leaves the old pair.
            save(self.folder / weights)
            write_text(self.path, json.dumps(payload))
            for old in self.folder.glob("weights-*.pt"):
                if old.name != weights:
                    old.unlink()
        except OSError as error:
            raise storage_error(self.folder, error, "the one before is kept") from error

    def exists(self) -> bool:
        """Whether there is a state to go on from."""
        return self.path.exists()

    def read(self, load: Callable[[State, Path], None]) -> None:
        """Hand the state and the path of the weights to ``load``.

        Raises:
            RequestError: The folder belongs to another relaxation.
            StorageError: A file is missing, torn or garbled.
        """
        try:
            payload = json.loads(self.path.read_text(encoding="utf-8"))
            identity, weights = payload["identity"], self.folder / str(payload["weights"])
            state = payload["state"]
            if not isinstance(identity, dict) or not isinstance(state, dict):
                raise TypeError("neither identity nor state are objects")
        except OSError as error:
            raise self._broken(str(error.strerror)) from error
        except (ValueError, KeyError, TypeError) as error:
            raise self._broken(f"{self.path.name}: {error}") from error
        self._check(identity)
        if not weights.is_file():
            raise self._broken(f"{weights.name} is missing")
        try:
            load(state, weights)
        except StorageError as error:
            raise self._broken(str(error)) from error
        # What a garbled state raises depends on where it is garbled.
        except (OSError, ValueError, KeyError, TypeError, IndexError, RuntimeError) as error:
            raise self._broken(f"{type(error).__name__}: {error}") from error

    def _check(self, identity: State) -> None:
        different = [
            f"{key} is {identity.get(key)} there and {self.identity.get(key)} here"
            if not isinstance(self.identity.get(key), dict)
            else f"{key} differs"
            for key in sorted(self.identity.keys() | identity.keys())
            if identity.get(key) != self.identity.get(key)
        ]
        if different:
            raise RequestError(
                f"'{self.folder}' holds the relaxation of another search: "
                f"{', '.join(different)}. Give another --run folder, or delete '{self.folder}'."
            )

    def _broken(self, reason: str) -> StorageError:
        return StorageError(
            f"the checkpoint in '{self.folder}' cannot be read ({reason}). Delete "
            f"'{self.folder}' and give the command again to run the relaxation anew."
        )
