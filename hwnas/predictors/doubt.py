"""What prices that nobody measured add to the error of a sum."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from hwnas.kernels import Kernel
from hwnas.predictors.boosting import Floats
from hwnas.predictors.conformal import conformal_quantile
from hwnas.predictors.kernel_model import KernelPrices

Bag = Mapping[Kernel, int]

ESTIMATES = ("model", "roofline")
"""Sources of prices that are not measured."""

FEWEST_KINDS = 5
FOREIGN = float(np.log(30))
"""What rooflines are doubted where fewer than five kinds are measured to tell: of the 49 kinds of
``device_profiles/xeon-onnxruntime-32px``, each left out as a whole, 48 are within a factor of 28
above their roofline (Softplus is at 27, LRN at 63), and all within 20 below."""


class Doubt:
    """How far off sums are whose kernels are priced without having been measured.

    Of bags whose kernels are measured: the logarithm of the sum of their prices over
    the sum of what the kernel model says of each without having seen it or its like, and
    over the sum of the rooflines.

    A roofline stands mostly for an operator of which nobody measured anything, and that may be
    off by far more than a sum of rooflines of what was measured: so what rooflines miss of kinds
    left out as a whole (``KernelPrices.kind_errors``) counts too. Such an error is of a part of
    the sum: a share of a tenth that is off by thirty makes a sum that is off by four.

    Bags of one family are off together, so each family's errors count by themselves, and
    the widest of them is believed of the next.

    Learned: ``errors_`` (by source, for each family), ``usual_`` (shares of the sums that each
    source has in the bags, which the errors of whole networks know already).
    """

    def fit(
        self,
        prices: KernelPrices,
        bags: Sequence[Bag],
        families: Sequence[str] | None = None,
    ) -> "Doubt":
        """Fit on bags, such as those of measured networks.

        Args:
            prices: The prices.
            bags: The bags.
            families: The family of each; without it all are of one.
        """
        left_out_ms = prices.left_out_ms
        sums: list[list[float]] = []
        of: list[str] = []
        for bag, family in zip(bags, families or [""] * len(bags), strict=True):
            own = [(k, n) for k, n in bag.items() if k.key in prices.table_]
            if own:
                of.append(family)
                sums.append(
                    [
                        sum(n * prices.table_[k.key] for k, n in own),
                        sum(n * left_out_ms.get(k.key, prices.roofline_ms(k)) for k, n in own),
                        sum(n * prices.roofline_ms(k) for k, n in own),
                    ]
                )
        logs = np.log(np.array(sums).reshape(-1, 3))
        groups = [np.array(of) == family for family in sorted(set(of))]
        self.errors_: dict[str, list[Floats]] = {
            name: [(logs[:, 0] - logs[:, 1 + column])[group] for group in groups]
            for column, name in enumerate(ESTIMATES)
        }
        known = prices.prices_ms({kernel for bag in bags for kernel in bag})
        totals = np.array([[sum(n * known[k] for k, n in bag.items())] for bag in bags])
        self.usual_: Floats = np.zeros(len(ESTIMATES))
        if len(bags):
            self.usual_ = (unsure_ms(prices, bags) / np.maximum(totals, 1e-12)).mean(axis=0)
        return self

    def widening(
        self, shares: Floats, quantile: float, prices: KernelPrices
    ) -> tuple[Floats, Floats]:
        """What to widen intervals by, as logarithms ``(n,)``, below and above.

        Args:
            shares: Of the sums, what each source prices, ``(n, len(ESTIMATES))``.
            quantile: What either bound is to hold.
            prices: Those that say what rooflines miss of kinds that were left out.
        """
        excess = np.maximum(shares - self.usual_, 0.0)
        modelled, bounded = (excess[:, ESTIMATES.index(name)] for name in ESTIMATES)

        def widest(name: str, sign: int) -> float:
            groups = self.errors_[name] or [np.zeros(0)]
            return max(conformal_quantile(sign * errors, quantile) for errors in groups)

        def side(sign: int) -> Floats:
            found: Floats = modelled * max(0.0, widest("model", sign))
            if bounded.any():
                wide = max(widest("roofline", sign), _of_kinds(prices, sign, quantile))
                found = found + sign * np.log1p(np.minimum(bounded, 1.0) * np.expm1(sign * wide))
            return found

        return side(-1), side(1)

    def to_json(self) -> dict[str, Any]:
        """What was learned, as plain values."""
        return {
            "errors": {
                name: [errors.tolist() for errors in own] for name, own in self.errors_.items()
            },
            "usual": self.usual_.tolist(),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Doubt":
        """What :meth:`to_json` wrote."""
        doubt = cls()
        doubt.errors_ = {
            name: [np.array(errors, dtype=float) for errors in value["errors"][name]]
            for name in ESTIMATES
        }
        doubt.usual_ = np.array(value["usual"], dtype=float)
        return doubt


def _of_kinds(prices: KernelPrices, sign: int, quantile: float) -> float:
    """What a roofline of a kind that nobody measured is off by, as a logarithm, on one side.

    Kinds are what is exchangeable, and the worst kernel of each counts, so that the bound
    holds for whichever kernel of the next kind.
    """
    worst = np.array([(sign * errors).max() for errors in prices.kind_errors])
    if len(worst) < FEWEST_KINDS:
        return FOREIGN
    return max(0.0, conformal_quantile(worst, quantile))


def unsure_ms(prices: KernelPrices, bags: Collection[Bag]) -> Floats:
    """What of the sums of bags is not measured, ms by source, ``(n, len(ESTIMATES))``."""
    kernels = {kernel for bag in bags for kernel in bag}
    column = {k: ESTIMATES.index(s) for k in kernels if (s := prices.source(k)) in ESTIMATES}
    known = prices.prices_ms(column)
    found = np.zeros((len(bags), len(ESTIMATES)))
    for row, bag in enumerate(bags):
        for kernel, count in bag.items():
            if kernel in column:
                found[row, column[kernel]] += count * known[kernel]
    return found
