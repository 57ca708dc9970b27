"""Accuracy on networks that were left out, beside the baselines and the noise floor."""

from typing import Any

import numpy as np

from hwnas.errors import ProfileError
from hwnas.predictors.baselines import baselines
from hwnas.predictors.latency import LatencyPredictor
from hwnas.predictors.metrics import accuracy
from hwnas.profiles import NetworkBag, ProfiledBags

LEAST_JUDGED = 3


def noise_floor_pct(networks: list[NetworkBag]) -> float | None:
    """Median difference, per cent, between two halves of the processes of one network.

    ``None`` where no network was seen by at least two processes.
    """
    differences = []
    for item in networks:
        values = item.measurement.session_ms
        if len(values) >= 2:
            first, second = np.median(values[::2]), np.median(values[1::2])
            differences.append(200 * abs(first - second) / (first + second))
    return float(np.median(differences)) if differences else None


def evaluate(predictor: LatencyPredictor, bags: ProfiledBags) -> dict[str, Any]:
    """Accuracy on the judged networks, beside baselines that were fitted on the same networks.

    Besides those of :func:`~hwnas.predictors.baselines.baselines`, ``table_sum`` and
    ``kernel_sum`` are the plain sums of blocks and of kernels, without a correction.

    Raises:
        ProfileError: Fewer than three judged networks were measured.
    """
    fitted = [item for item in bags.networks if not item.judged]
    judged = [item for item in bags.networks if item.judged]
    if len(judged) < LEAST_JUDGED:
        raise ProfileError(
            f"{len(judged)} networks to judge by are measured, at least {LEAST_JUDGED} are needed; "
            "run 'hwnas profile' with a larger budget"
        )
    measured = np.array([item.measurement.latency_ms for item in judged])
    parts_ms, sums = predictor.network_sums(judged, bags)
    predicted = predictor.predict_sums(parts_ms, sums)
    errors = np.log(measured / predicted)
    bounds = predictor.network_residual_.out_of_fold_
    from_kernels = predictor.call_ms_ + sums[:, 0]
    return {
        **accuracy(predicted, measured).to_json(),
        "fitted_on": len(fitted),
        "noise_floor_pct": noise_floor_pct(bags.networks),
        "left_out_error_pct": float(100 * np.median(np.abs(np.expm1(errors)))),
        "cross_validated_error_pct": float(100 * np.abs(np.expm1(bounds)).mean()),
        "residual_line": predictor.network_residual_.line_ is not None,
        "residual_trees": predictor.network_residual_.trees_ is not None,
        "baselines": {
            **{
                name: found.to_json()
                for name, found in baselines(predictor.kernels_, fitted, judged, bags).items()
            },
            "table_sum": accuracy(predictor.call_ms_ + parts_ms, measured).to_json(),
            "kernel_sum": accuracy(from_kernels, measured).to_json(),
        },
    }
