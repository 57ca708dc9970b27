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
from hwnas.files import make_folder
from hwnas.nets.align import distance
from hwnas.nets.network import Network
from hwnas.spaces.architecture import Architecture
from hwnas.training.checkpoint import load_state, save_state

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
        make_folder(self.folder)
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

    def load(self, architecture: Architecture) -> Network | None:
        """The network of an architecture with its stored weights; ``None`` where there are none.

        Raises:
            StorageError: The file is torn, or its weights are not of that architecture.
        """
        path = self.path(architecture)
        state = self._state(path)
        if state is None:
            return None
        network = Network(architecture)
        self._check(path, network, state)
        network.load_state_dict(state["network"])
        with contextlib.suppress(OSError):
            os.utime(path)
        return network.eval()

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
        try:
            status = path.stat()
        except OSError:
            return None
        version = (status.st_ino, status.st_mtime_ns)
        if path not in self._known or self._known[path][0] != version:
            state = self._state(path)
            if state is None:
                return None
            architecture = Architecture.from_json(state["architecture"])
            self._known[path] = (version, Stored(architecture, state["note"]))
        return self._known[path][1]

    def _state(self, path: Path) -> dict[str, Any] | None:
        """The state in a file; ``None`` where there is no file."""
        try:
            state = load_state(path)
        except StorageError:
            if not path.exists():
                return None
            raise
        if state.get("schema") != SCHEMA:
            raise StorageError(
                f"'{path}' holds weights of schema {state.get('schema')}, this hwnas reads "
                f"{SCHEMA}. Delete it to train anew."
            )
        try:
            digest = Architecture.from_json(state["architecture"]).digest
            values = list(state["network"].values())
            fits = isinstance(state["note"], dict) and all(map(torch.is_tensor, values))
        except (AttributeError, KeyError, TypeError, ValueError, HwnasError) as error:
            raise StorageError(
                f"'{path}' does not say whose weights it holds. Delete it to train anew."
            ) from error
        if not fits:
            raise StorageError(
                f"'{path}' holds something else than weights. Delete it to train anew."
            )
        if digest != path.name.removesuffix(SUFFIX):
            raise StorageError(
                f"'{path}' holds weights of architecture {digest}, not what its name says. "
                "Delete it to train anew."
            )
        return state

    def _check(self, path: Path, network: Network, state: Mapping[str, Any]) -> None:
        wanted = {name: tuple(value.shape) for name, value in network.state_dict().items()}
        found = {name: tuple(value.shape) for name, value in state["network"].items()}
        for name in sorted(wanted.keys() | found.keys()):
            if wanted.get(name) != found.get(name):
                raise StorageError(
                    f"'{path}' holds weights of another shape: '{name}' is "
                    f"{found.get(name, 'missing')} instead of {wanted.get(name, 'not there')}. "
                    "Delete it to train anew."
                )

    def _prune(self, newest: Path) -> None:
        """Remove what was longest not used until the rest fits, and what killed saves left."""
        now = time.time()
        sizes = []
        for path in self.folder.iterdir():
            # Another process may remove it at the same time.
            with contextlib.suppress(FileNotFoundError):
                status = path.stat()
                if path.name.endswith(".partial"):
                    if now - status.st_mtime > STALE_S:
                        path.unlink()
                elif path.suffix == SUFFIX:
                    sizes.append((path != newest, -status.st_mtime, path, status.st_size))
        total = 0
        for _, _, path, size in sorted(sizes):
            total += size
            if total > self.limit_bytes and path != newest:
                path.unlink(missing_ok=True)
