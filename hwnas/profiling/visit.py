"""One visit to a device: a batch measured in a worker process, and kept."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hwnas._version import __version__
from hwnas.errors import RuntimeFailure
from hwnas.profiles import DeviceProfile, Observation
from hwnas.profiles.conditions import of_worker
from hwnas.profiling.protocol import Batch, Protocol
from hwnas.targets import Target, Worker

STASH_S = 5.0
"""A process that is killed loses at most about so much of a visit."""


def measure(
    profile: DeviceProfile,
    target: Target,
    models: Mapping[str, bytes],
    *,
    session: str,
    protocol: Protocol,
    seed: int,
    until: float,
    definitions: dict[str, dict[str, object]] | None = None,
    shapes: Mapping[str, Mapping[str, Sequence[int]]] | None = None,
    on_round: Callable[[int, int], None] | None = None,
) -> list[Observation]:
    """One visit: a fresh worker process measures a batch, and the profile keeps it.

    A model that kills its worker, hangs or fails is recorded as failed, and
    another process goes on with those that were not seen yet. What was seen is
    kept even when the user interrupts.

    Args:
        profile: Where the observations go.
        target: Where to measure.
        models: Serialised ONNX by part.
        session: Name of the process in the profile; further ones get a number behind it.
        protocol: How to measure.
        seed: Seed of the visiting order.
        until: Monotonic time at which to stop; what the process takes to start, seconds
            where a runtime is large, is added, so that the visit measures as long.
        definitions: What keys stand for.
        shapes: For a part, shapes of inputs that its model leaves open.
        on_round: Called after each round with models finished and models in all.

    Raises:
        RuntimeFailure: A worker does not start, or dies and no model is to blame.
    """
    left, seen = dict(models), list[Observation]()
    for attempt in range(len(models) + 1):
        name = f"{session}.{attempt}" if attempt else session
        begin = time.monotonic()
        with target.open() as worker:
            until += time.monotonic() - begin
            batch = Batch(worker, name, protocol, seed + attempt)
            visit = _Visit(profile, worker, name, batch, begin, definitions or {}, on_round)
            try:
                batch.load(left, until=until, shapes=shapes)
                batch.run(until=until, on_round=visit.on_round)
                batch.cold(until=until)
                break
            except RuntimeFailure:
                if not batch.failed:
                    raise
            finally:
                seen += visit.keep()
        done = {item.key for item in seen}
        left = {key: model for key, model in left.items() if key not in done}
        if not left or time.monotonic() > until:
            break
    return seen


@dataclass
class _Visit:
    """What a visit has seen so far, and where it goes."""

    profile: DeviceProfile
    worker: Worker
    session: str
    batch: Batch
    begin: float
    definitions: Mapping[str, dict[str, Any]]
    report: Callable[[int, int], None] | None
    stashed: float = 0.0

    def on_round(self, done: int, total: int) -> None:
        """Between rounds, when nothing is timed: report, and stash what a kill would lose."""
        now = time.monotonic()
        if now - max(self.begin, self.stashed) > STASH_S:
            self.stashed = now
            self.profile.stash(*self._seen())
        if self.report is not None:
            self.report(done, total)

    def keep(self) -> list[Observation]:
        """Write what was seen into the profile, and return it."""
        seen, definitions, sessions = self._seen()
        if seen:
            self.profile.append(seen, definitions=definitions, sessions=sessions)
        if self.stashed:
            self.profile.drop_stash()
        return seen

    def _seen(
        self,
    ) -> tuple[list[Observation], dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
        seen = self.batch.observations()
        conditions = {
            **of_worker(self.worker.hello, self.profile.device.threads),
            "hwnas": __version__,
            "seconds": round(time.monotonic() - self.begin, 3),
            "inference_s": round(self.worker.inference_s, 3),
            "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        keys = {item.key for item in seen}
        own = {key: value for key, value in self.definitions.items() if key in keys}
        return seen, own, {self.session: conditions}
