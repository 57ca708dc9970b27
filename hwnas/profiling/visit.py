"""One visit to a device: a batch measured in a worker process, and kept."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hwnas._version import __version__
from hwnas.errors import RuntimeFailure
from hwnas.profiles import DeviceProfile, Observation
from hwnas.profiles.conditions import of_worker
from hwnas.profiling.protocol import Batch, OnStep, Protocol, Standing
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
) -> list[Observation]:
    """Visits to a device until every model of a batch was seen or has failed.

    A model that kills its worker, hangs or fails is recorded as failed, and
    another process goes on with those that were not seen yet.

    Args:
        profile: Where the observations go.
        target: Where to measure.
        models: Serialised ONNX by part.
        session: Name of the process in the profile; further ones get a number behind it.
        protocol: How to measure.
        seed: Seed of the visiting order.
        until: Monotonic time at which to stop.

    Raises:
        RuntimeFailure: A worker does not start, or dies and no model is to blame.
    """
    left, seen = dict(models), list[Observation]()
    for attempt in range(len(models) + 1):
        seen += visit(
            profile,
            target,
            left,
            session=f"{session}.{attempt}" if attempt else session,
            protocol=protocol,
            seed=seed + attempt,
            until=until,
        )
        done = {item.key for item in seen}
        left = {key: model for key, model in left.items() if key not in done}
        if not left or time.monotonic() > until:
            break
    return seen


def visit(
    profile: DeviceProfile,
    target: Target,
    models: Mapping[str, bytes],
    *,
    session: str,
    protocol: Protocol,
    seed: int,
    until: float,
    definitions: dict[str, dict[str, Any]] | None = None,
    shapes: Mapping[str, Mapping[str, Sequence[int]]] | None = None,
    quiet_ms: float | None = None,
    on_step: OnStep | None = None,
) -> list[Observation]:
    """One visit: a fresh worker process measures a batch, and the profile keeps it.

    Where a model kills the worker, hangs or fails while there is time left, it is
    recorded as failed, and only what was finished by then is kept: the rest has to
    be measured in another process. What was seen is kept whole when time is up, and
    when the user interrupts.

    Args:
        profile: Where the observations go.
        target: Where to measure.
        models: Serialised ONNX by part.
        session: Name of the process in the profile.
        protocol: How to measure.
        seed: Seed of the visiting order.
        until: Monotonic time at which to stop; what the process takes to start, seconds
            where a runtime is large, is added.
        definitions: What keys stand for.
        shapes: For a part, shapes of inputs that its model leaves open.
        quiet_ms: The canary's quiet time, if it is known.
        on_step: Called after each model that was loaded, and after each round.

    Returns:
        What was kept, as the profile holds it.

    Raises:
        RuntimeFailure: The worker does not start, or dies and no model is to blame.
    """
    begin, unfinished = time.monotonic(), True
    with target.open() as worker:
        until += time.monotonic() - begin
        batch = Batch(worker, session, protocol, seed, quiet_ms)
        own = _Visit(profile, worker, session, batch, begin, definitions or {}, on_step)
        try:
            batch.load(models, until=until, shapes=shapes, on_step=on_step)
            batch.run(until=until, on_step=own.on_round)
            batch.cold(until=until)
        except RuntimeFailure:
            if not batch.failed:
                raise
            unfinished = time.monotonic() > until
        finally:
            seen = own.keep(unfinished)
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
    report: OnStep | None
    stashed: float = 0.0

    def on_round(self, standing: Standing) -> None:
        """Between rounds, when nothing is timed: report, and stash what a kill would lose."""
        now = time.monotonic()
        if now - max(self.begin, self.stashed) > STASH_S:
            self.stashed = now
            seen, definitions, sessions = self._seen(unfinished=False)
            if seen:
                self.profile.stash(seen, definitions, sessions)
        if self.report is not None:
            self.report(standing)

    def keep(self, unfinished: bool) -> list[Observation]:
        """Write what was seen into the profile, and return it as it can be read there."""
        seen, definitions, sessions = self._seen(unfinished=unfinished)
        if seen:
            self.profile.append(seen, definitions=definitions, sessions=sessions)
        if self.stashed:
            self.profile.drop_stash()
        return [Observation(**item.to_json()) for item in seen]

    def _seen(
        self, *, unfinished: bool
    ) -> tuple[list[Observation], dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
        seen = self.batch.observations(unfinished=unfinished)
        conditions = {
            **of_worker(self.worker.hello, self.profile.device.threads),
            "hwnas": __version__,
            "seconds": round(time.monotonic() - self.begin, 3),
            "inference_s": round(self.worker.inference_s, 3),
            "waited_s": round(self.worker.waited_s, 3),
            "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        keys = {item.key for item in seen}
        own = {key: value for key, value in self.definitions.items() if key in keys}
        return seen, own, {self.session: conditions}
