"""The latency of one bag of kernels, such as that of an ONNX file, and how sure it is."""

from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.errors import ProfileError
from hwnas.predictors.checks import bag_of, between_0_and_1, whole_number
from hwnas.predictors.doubt import unsure_ms
from hwnas.predictors.features import bag_features, bag_sums
from hwnas.predictors.prediction import KernelShare, Prediction

if TYPE_CHECKING:
    from hwnas.predictors.latency import LatencyPredictor


def price_bag(predictor: "LatencyPredictor", bag: Any, not_covered: Any, level: Any) -> Prediction:
    """As :meth:`LatencyPredictor.predict_bag`, which documents it."""
    own = bag_of(bag)
    without = whole_number("not_covered", not_covered)
    effective = min(between_0_and_1("level", level), predictor.highest_level)
    prices = predictor.kernels_.prices_ms(own)
    sums = bag_sums(own, prices)[None]
    # What is not finite is an error below, with advice; numpy's warning has none.
    with np.errstate(over="ignore", invalid="ignore"):
        factor = float(np.exp(predictor.model_residual_.predict(bag_features(sums))[0]))
        low, high = predictor.log_bounds(
            sums[:, 0],
            sums,
            unsure_ms(predictor.kernels_, [own]),
            (1 + effective) / 2,
            predictor.model_residual_,
        )
        latency = (predictor.call_ms_ + float(sums[0, 0])) * factor
        low_ms, high_ms = latency * float(np.exp(low[0])), latency * float(np.exp(high[0]))
    if not (0 < latency < np.inf) or np.isnan(low_ms) or np.isnan(high_ms):
        raise ProfileError(
            f"the predictor gives {latency:g} ms, and a latency is a finite number above 0: it is "
            "broken, or was fitted on broken measurements; fit again with 'hwnas fit'"
        )
    shares = sorted(
        (
            KernelShare(k, n, n * prices[k] * factor, predictor.kernels_.source(k))
            for k, n in own.items()
        ),
        key=lambda share: -share.ms,
    )
    return Prediction(
        latency,
        low_ms,
        # What has no price may take any time: there is no upper end.
        np.inf if without else high_ms,
        _covered(shares, without),
        tuple(shares),
        effective,
        without,
    )


def _covered(shares: list[KernelShare], not_covered: int) -> float:
    """The share of the time that is priced by measurements, 0 to 1.

    Of the time of operators without a price nothing is known, so they count by their number.
    """
    kernels = sum(share.count for share in shares)
    total = sum(share.ms for share in shares)
    known = sum(share.ms for share in shares if share.source != "roofline")
    share = known / total if total > 0 else 1.0
    return share * kernels / (kernels + not_covered) if not_covered else share
