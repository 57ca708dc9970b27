"""One visit to a device: a batch measured in a worker process, and kept."""

import time
from collections.abc import Callable, Mapping, Sequence

from hwnas.errors import RuntimeFailure
from hwnas.profiles import DeviceProfile, Observation
from hwnas.profiling.protocol import Batch, Protocol
from hwnas.targets import Target, Worker


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
        until: Monotonic time at which to stop.
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
            batch = Batch(worker, name, protocol, seed + attempt)
            try:
                batch.load(left, until=until, shapes=shapes)
                batch.run(until=until, on_round=on_round)
                batch.cold(until=until)
                break
            except RuntimeFailure:
                if not batch.failed:
                    raise
            finally:
                found = batch.observations()
                spent = {
                    "seconds": round(time.monotonic() - begin, 3),
                    "inference_s": round(worker.inference_s, 3),
                }
                _keep(profile, worker, name, found, spent, definitions or {})
                seen += found
        done = {item.key for item in seen}
        left = {key: model for key, model in left.items() if key not in done}
        if not left or time.monotonic() > until:
            break
    return seen


def _keep(
    profile: DeviceProfile,
    worker: Worker,
    session: str,
    seen: Sequence[Observation],
    spent: Mapping[str, float],
    definitions: Mapping[str, dict[str, object]],
) -> None:
    if not seen:
        return
    conditions = {
        "runtime": worker.hello["runtime"],
        "version": worker.hello["version"],
        "threads": profile.device.threads,
        "batch": 1,
        **worker.hello["conditions"],
        **spent,
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    keys = {item.key for item in seen}
    profile.append(
        seen,
        sessions={session: conditions},
        definitions={key: value for key, value in definitions.items() if key in keys},
    )
