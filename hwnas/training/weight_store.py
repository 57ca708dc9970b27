"""Trained weights on disk, one file an architecture, so that others find their relatives."""

import contextlib
import heapq
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch

from hwnas.errors import HwnasError, SpecError, StorageError
from hwnas.nets.align import distance
from hwnas.nets.network import Network
from hwnas.spaces.architecture import Architecture
from hwnas.training.checkpoint import PARTIAL, load_state, save_state

SCHEMA = 1
SUFFIX = ".weights"
LIMIT_BYTES = 2**29
SHORTLIST = 24
STALE_S = 3600.0


class Stored(NamedTuple):
    """What is known of a file without its weights.

    Args:
        architecture: Whose weights it holds.
        note: What was saved beside them.
    """

    architecture: Architecture
    note: dict[str, Any]


class Trained(NamedTuple):
    """A stored network with all that is known of it.

    Args:
        network: In evaluation mode.
        note: What was saved beside its weights.
    """

    network: Network
    note: dict[str, Any]


class WeightStore:
    """A folder of trained networks, by the digest of their architectures.

    A file is written whole or not at all, and several processes may use one
    folder. When the files are larger than the limit, those go that were longest
    not used; the newest always stays.

    Args:
        folder: Where; made when something is saved. Weights of one data set only:
            the store does not know what they were trained on.
        limit_bytes: The most that all files may take.

    Raises:
        SpecError: The limit is not positive.
    """

    def __init__(self, folder: Path, *, limit_bytes: int = LIMIT_BYTES) -> None:
        if limit_bytes < 1:
            raise SpecError(f"weight store: limit_bytes must be at least 1, received {limit_bytes}")
        self.folder = folder
        self.limit_bytes = limit_bytes
        self._known: dict[Path, tuple[tuple[int, int], Stored]] = {}

    def path(self, architecture: Architecture) -> Path:
        """Where the weights of an architecture are, or would be."""
        return self.folder / f"{architecture.digest}{SUFFIX}"

    def save(self, network: Network, note: Mapping[str, Any]) -> None:
        """Keep the weights of a network; others of the same architecture are replaced.

        Args:
            network: Whose weights.
            note: Plain values that are kept beside them.

        Raises:
            StorageError: The file cannot be written; what was there is kept.
        """
        path = self.path(network.architecture)
        state = {
            "schema": SCHEMA,
            "architecture": network.architecture.to_json(),
            "note": dict(note),
            "network": network.state_dict(),
        }
        save_state(path, state)
        self._prune(path)

    def note(self, architecture: Architecture) -> dict[str, Any] | None:
        """What was saved beside the weights of an architecture; ``None`` where there are none.

        Raises:
            StorageError: The file is not one of weights.
        """
        found = self._stored(self.path(architecture))
        return None if found is None else found.note

    def load(self, architecture: Architecture) -> Trained | None:
        """An architecture's network and note, read once; ``None`` where there are none.

        Raises:
            StorageError: The file is torn, or its weights are not of that architecture.
        """
        path = self.path(architecture)
        # Before it is read: it then stays what was read, and no other process prunes it now.
        with contextlib.suppress(OSError):
            os.utime(path)
        state = self._read(path)
        if state is None:
            return None
        network = Network(architecture)
        try:
            network.load_state_dict(state["network"])
        except RuntimeError as error:
            # torch's first line says where, the second what.
            detail = "; ".join(line.strip() for line in str(error).splitlines()[1:2])
            raise StorageError(
                f"'{path}' holds weights of another shape than its architecture has: {detail} "
                "Delete it to train anew."
            ) from error
        return Trained(network.eval(), state["note"])

    def nearest(self, architecture: Architecture) -> Architecture | None:
        """The stored relative from which the fewest layers must be changed; not itself.

        Only architectures of the same input channels and classes are relatives. Of
        equally near ones it is the smaller, which is more often one that grew.

        Args:
            architecture: Who looks for a parent.

        Raises:
            StorageError: A file of the folder is not one of weights.
        """
        others = [
            item
            for item in self.architectures()
            if item.digest != architecture.digest
            and item.input_shape[0] == architecture.input_shape[0]
            and item.output_shape == architecture.output_shape
        ]
        blocks = Counter(architecture.blocks)

        def unlike(other: Architecture) -> int:
            theirs = Counter(other.blocks)
            return sum(((blocks - theirs) + (theirs - blocks)).values())

        near = heapq.nsmallest(SHORTLIST, others, key=unlike)
        return min(
            near, key=lambda item: (distance(item, architecture), item.parameters), default=None
        )

    def architectures(self) -> Iterator[Architecture]:
        """The architectures whose weights are stored, by digest.

        Raises:
            StorageError: A file of the folder is not one of weights.
        """
        for path in self._files():
            found = self._stored(path)
            if found is not None:
                yield found.architecture

    def _files(self) -> list[Path]:
        # What a killed save leaves ends in something else.
        return sorted(self.folder.glob(f"*{SUFFIX}"))

    def _stored(self, path: Path) -> Stored | None:
        """What is known of a file; read once, as long as it stays as it is."""
        version = _version(path)
        if version is None:
            return None
        if path not in self._known or self._known[path][0] != version:
            if self._read(path) is None:
                return None
        return self._known[path][1]

    def _read(self, path: Path) -> dict[str, Any] | None:
        """The state in a file, and remembers what it is; ``None`` where there is no file."""
        # Before it is read: if it is replaced meanwhile, it is read again.
        version = _version(path)
        if version is None:
            return None
        try:
            state = load_state(path)
        except StorageError:
            # Another process may have removed it.
            if _version(path) is None:
                return None
            raise
        architecture = self._checked(path, state)
        self._known[path] = (version, Stored(architecture, state["note"]))
        return state

    def _checked(self, path: Path, state: Mapping[str, Any]) -> Architecture:
        """The architecture whose weights a state holds."""
        if state.get("schema") != SCHEMA:
            raise StorageError(
                f"'{path}' holds weights of schema {state.get('schema')}, this hwnas reads "
                f"{SCHEMA}. Delete it to train anew."
            )
        try:
            architecture = Architecture.from_json(state["architecture"])
            weights, note = state["network"], state["note"]
            fits = isinstance(note, dict) and all(
                isinstance(name, str) and torch.is_tensor(value) for name, value in weights.items()
            )
        except (AttributeError, KeyError, TypeError, ValueError, HwnasError) as error:
            raise StorageError(
                f"'{path}' does not say whose weights it holds. Delete it to train anew."
            ) from error
        if not fits:
            raise StorageError(
                f"'{path}' holds something else than weights. Delete it to train anew."
            )
        if architecture.digest != path.name.removesuffix(SUFFIX):
            raise StorageError(
                f"'{path}' holds weights of architecture {architecture.digest}, not what its name "
                "says. Delete it to train anew."
            )
        return architecture

    def _prune(self, newest: Path) -> None:
        """Remove what was longest not used until the rest fits, and what killed saves left.

        The weights are saved by then, so what cannot be removed is left: another
        process may have removed it already, or may hold it.
        """
        now = time.time()
        paths: list[Path] = []
        with contextlib.suppress(OSError):
            paths += self.folder.iterdir()
        sizes = []
        for path in paths:
            with contextlib.suppress(OSError):
                status = path.stat()
                if path.name.endswith(PARTIAL):
                    if now - status.st_mtime > STALE_S:
                        path.unlink()
                elif path.suffix == SUFFIX:
                    sizes.append((path != newest, -status.st_mtime, path, status.st_size))
        total = 0
        for _, _, path, size in sorted(sizes):
            total += size
            if total > self.limit_bytes and path != newest:
                with contextlib.suppress(OSError):
                    path.unlink()


def _version(path: Path) -> tuple[int, int] | None:
    """What changes when a file is replaced; ``None`` where there is none.

    Raises:
        StorageError: It cannot be looked at.
    """
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise StorageError(
            f"'{path}' cannot be read: {error.strerror or error}; what is stored is kept"
        ) from error
    return status.st_ino, status.st_mtime_ns
