"""Measuring whole models, several in the same rounds, in fresh processes."""

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hwnas.errors import RuntimeFailure
from hwnas.profiles import DeviceProfile, Measurement, Records
from hwnas.profiling.protocol import Protocol
from hwnas.profiling.visit import measure
from hwnas.targets import Target

SESSIONS = 4
COLD_RUNS = 7


def measure_models(
    profile: DeviceProfile,
    target: Target,
    models: Mapping[str, bytes],
    *,
    budget_s: float = 60.0,
    shapes: Mapping[str, Mapping[str, Sequence[int]]] | None = None,
    seed: int = 0,
    on_progress: Callable[[float], None] | None = None,
) -> tuple[dict[str, Measurement], dict[str, str], dict[str, Any]]:
    """The latencies of models on a device, each in four fresh processes.

    Args:
        profile: The device; nothing is added to what it holds.
        target: Where to measure.
        models: Serialised ONNX by name.
        budget_s: Time, seconds; each process gets a quarter and at least one round.
        shapes: By model, the shapes of inputs that the model leaves open.
        seed: Seed of the visiting orders.
        on_progress: Called with the share that is done, 0 to 1.

    Returns:
        Measurements by name, failures by name, and the conditions.

    Raises:
        RuntimeFailure: The device does not start.
    """
    report = on_progress or (lambda share: None)
    with tempfile.TemporaryDirectory(prefix="hwnas-") as folder, profile.exclusive():
        kept = DeviceProfile(profile.device, Path(folder))
        records = Records()
        for number in range(SESSIONS):
            failed = {item.key for item in records.observations if item.failure is not None}
            left = {key: model for key, model in models.items() if key not in failed}
            if not left:
                break

            def on_round(done: int, total: int, number: int = number) -> None:
                report((number + done / max(1, total)) / SESSIONS)

            report(number / SESSIONS)
            measure(
                kept,
                target,
                left,
                session=f"s{number:04d}",
                protocol=replace(Protocol(), least_rounds=12, cold_runs=COLD_RUNS),
                seed=seed + number,
                until=time.monotonic() + budget_s / SESSIONS,
                shapes=shapes,
                on_round=on_round,
            )
            records = kept.read()
    failures = {item.key: item.failure for item in records.observations if item.failure is not None}
    measurements = {k: v for k, v in records.measurements().items() if k not in failures}
    if not measurements and not failures:
        raise RuntimeFailure("nothing was measured: no model could be visited within the budget")
    conditions = next(iter(records.sessions.values()), {})
    return measurements, failures, conditions
