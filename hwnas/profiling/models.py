"""Measuring whole models, several in the same rounds, in fresh processes."""

import hashlib
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hwnas.errors import RuntimeFailure
from hwnas.profiles import DeviceProfile, Measurement
from hwnas.profiling.protocol import Protocol, Standing
from hwnas.profiling.turns import visit_seed
from hwnas.profiling.visit import visit
from hwnas.targets import Target

SESSIONS = 4
COLD_RUNS = 7
UNFINISHED = ".unfinished"
FRESH_S = 3600.0
"""What an interrupted measurement left is used for so long."""


def measure_models(
    profile: DeviceProfile,
    target: Target,
    models: Mapping[str, bytes],
    *,
    budget_s: float = 60.0,
    shapes: Mapping[str, Mapping[str, Sequence[int]]] | None = None,
    seed: int = 0,
    timeout_s: float = 60.0,
    on_progress: Callable[[float], None] | None = None,
) -> tuple[dict[str, Measurement], dict[str, str], dict[str, Any]]:
    """The latencies of models on a device, each in four fresh processes.

    What an interrupted call has measured is kept beside the profile, and the
    next call with the same models within an hour goes on with it.

    Args:
        profile: The device; nothing is added to what it holds.
        target: Where to measure.
        models: Serialised ONNX by name.
        budget_s: Time, seconds; each process gets a quarter and at least one round.
        shapes: By model, the shapes of inputs that the model leaves open.
        seed: Seed of the visiting orders.
        timeout_s: Time for loading a model, and for a round beyond what it should take.
        on_progress: Called with the share that is done, 0 to 1.

    Returns:
        Measurements by name, failures by name, and the conditions.

    Raises:
        RuntimeFailure: The device does not start.
    """
    report = on_progress or (lambda share: None)
    keys = {name: f"model:{hashlib.sha256(model).hexdigest()}" for name, model in models.items()}
    by_key = {keys[name]: model for name, model in models.items()}
    open_shapes = {keys[name]: own for name, own in (shapes or {}).items() if name in keys}
    with profile.exclusive():
        known_ms = profile.read().quiet_canary_ms()
        protocol = replace(Protocol(), least_rounds=12, cold_runs=COLD_RUNS, timeout_s=timeout_s)
        kept = DeviceProfile(profile.device, _folder(profile, by_key, open_shapes, target))
        kept.recover()
        records = kept.read()
        whole = 0  # visits; one in which a model fails ends early, and not twice for one model
        while whole < 2 * SESSIONS:
            counts = records.session_counts()
            least = min(counts.get(key, 0) for key in by_key)
            if least >= SESSIONS:
                break
            left = {key: model for key, model in by_key.items() if counts.get(key, 0) == least}

            def on_step(standing: Standing, least: int = least) -> None:
                report((least + standing.share) / SESSIONS)

            report(least / SESSIONS)
            seen = visit(
                kept,
                target,
                left,
                session=f"s{records.next_session():04d}",
                protocol=protocol,
                seed=visit_seed(seed, left, least),
                until=time.monotonic() + budget_s / SESSIONS,
                shapes=open_shapes,
                quiet_ms=min(filter(None, (known_ms, records.quiet_canary_ms())), default=None),
                on_step=on_step,
            )
            whole += all(item.failure is None for item in seen)
            records = kept.read()
        shutil.rmtree(kept.folder, ignore_errors=True)
    failed = {item.key: item.failure for item in records.observations if item.failure is not None}
    found = {key: item for key, item in records.measurements().items() if key not in failed}
    if not found and not failed:
        raise RuntimeFailure("nothing was measured: no model could be visited within the budget")
    return (
        {name: found[key] for name, key in keys.items() if key in found},
        {name: failed[key] for name, key in keys.items() if key in failed},
        next(iter(records.sessions.values()), {}),
    )


def _folder(
    profile: DeviceProfile,
    models: Mapping[str, bytes],
    shapes: Mapping[str, Mapping[str, Sequence[int]]],
    target: Target,
) -> Path:
    """Where a measurement of these models is kept until it is finished."""
    what = repr((sorted(models), sorted(shapes.items()), target.runtime.version()))
    folder = profile.folder / UNFINISHED / hashlib.sha256(what.encode()).hexdigest()[:16]
    left = folder / "measurements.jsonl"
    if left.exists() and time.time() - left.stat().st_mtime > FRESH_S:
        shutil.rmtree(folder, ignore_errors=True)
    return folder
