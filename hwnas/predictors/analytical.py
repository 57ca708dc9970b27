"""What kernels cost by their sizes: a sum of few terms for each kind, which extrapolates."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas.kernels import Kernel
from hwnas.predictors.features import is_broadcast, window_axes

Floats = NDArray[np.float64]

TERMS = ("kernel", "macs", "weights", "inputs", "outputs", "patches", "groups", "products")
"""What a price is a sum of: one kernel; multiply-accumulates; elements of weights, inputs and
outputs; of a convolution the elements of its unfolded patches, its groups, and its outputs times
the channels of a group. A convolution reads its weights anew for each image of a batch."""

PRIOR = 4.0
"""Kernels that the rates of the wider kind count for beside those of a kind itself."""

VARIES, FIXED = 4.0, 1e3
"""A term tells something of a kind whose kernels have it by this factor more or less; else its
rate is that of the wider kind, which counts for so many kernels."""

ROUNDS, NEAR = 8, 0.1
"""Rounds of reweighting, and the relative error up to which kernels weigh the same."""

ALIGNED = (16, 8)
"""Channels of vectors; a grouped convolution whose groups do not fill them runs otherwise."""


def kernel_terms(kernel: Kernel) -> list[float]:
    """A kernel's :data:`TERMS`, ``(terms,)``."""
    weights, inputs = kernel.weight_elements, kernel.input_elements
    patches, channels = 0, 0
    if kernel.family == "elementwise":
        # An operand is read alike whether the model or the caller gives it.
        weights, inputs = 0, inputs + weights
    if kernel.op == "Conv" and kernel.weights and len(kernel.weights[0]) > 2:
        weight = kernel.weights[0]
        channels = weight[1]
        weights *= kernel.outputs[0][0]
        # A point of the output reads a patch of every group.
        patches = math.prod(kernel.outputs[0][2:]) * kernel.groups * math.prod(weight[1:])
    return [
        1.0,
        float(kernel.macs),
        float(weights),
        float(inputs),
        float(kernel.output_elements),
        float(patches),
        float(kernel.groups),
        float(kernel.output_elements * channels),
    ]


def manner(kernel: Kernel) -> str:
    """What makes kernels of one operator run in different ways, besides their sizes.

    Of windows that do not move over images, along how many axes they move; of grouped
    convolutions the largest of :data:`ALIGNED` that divides the channels of a group, in and out,
    or 1; of operators on elements whether operands are spread over the others.
    """
    if (axes := window_axes(kernel)) not in (0, 2):
        return f"{axes}d"
    if kernel.family == "grouped":
        sizes = (kernel.weights[0][1], kernel.weights[0][0] // kernel.groups)
        return str(next((own for own in ALIGNED if all(size % own == 0 for size in sizes)), 1))
    if kernel.family == "elementwise":
        return "broadcast" if is_broadcast(kernel) else "alike"
    return ""


def kinds(kernel: Kernel) -> tuple[str, ...]:
    """The kinds that a kernel belongs to, from all kernels to its own."""
    family, own = kernel.family, f"{kernel.op}/{kernel.family}"
    return ("", family, own, f"{own}/{manner(kernel)}")


class AnalyticalCost:
    """Prices as sums of terms with rates that are not negative, for each kind of kernel.

    An analytical cost model in the manner of the roofline (Williams et al., 2009), with sums
    in place of the maximum and rates that are fitted. Least squares under the sign constraint
    (Lawson and Hanson, 1974), reweighted towards the absolute errors of logarithms, so that
    neither a kernel that runs otherwise decides nor one that is lost in noise. A kind's
    rates are drawn to those of the wider kind (:func:`kinds`), as if that were ``PRIOR`` more
    kernels: few kernels of a kind suffice, and a kind without any has the rates of the wider
    one; so has one whose kernels all have alike of a term (a bias of one element, say). Prices
    rise in every term, also beyond what was measured, which trees cannot do.

    Learned: ``rates_``, by kind, milliseconds per unit of each term, ``(terms,)``;
    ``least_ms_``, below which nothing is priced.
    """

    def fit(self, kernels: Sequence[Kernel], prices_ms: Floats) -> "AnalyticalCost":
        """Fit on measured kernels.

        Args:
            kernels: The kernels.
            prices_ms: What each takes, ms, ``(n,)``, positive.
        """
        self.rates_: dict[str, Floats] = {"": np.zeros(len(TERMS))}
        self.least_ms_ = float(prices_ms.min(initial=1e-3)) / 2
        if not len(kernels):
            return self
        terms = np.array([kernel_terms(kernel) for kernel in kernels])
        chains = [kinds(kernel) for kernel in kernels]
        for level in range(len(chains[0])):
            members: dict[str, list[int]] = {}
            for index, chain in enumerate(chains):
                members.setdefault(chain[level], []).append(index)
            for kind, own in members.items():
                wider = self.rates_[chains[own[0]][level - 1]] if level else None
                self.rates_[kind] = _rates(terms[own], prices_ms[own], wider)
        return self

    def log_ms(self, kernels: Iterable[Kernel]) -> Floats:
        """Logarithms of the prices of kernels in ms, ``(n,)``."""
        own = list(kernels)
        rates = np.array([self._rates_of(kernel) for kernel in own]).reshape(-1, len(TERMS))
        terms = np.array([kernel_terms(kernel) for kernel in own]).reshape(-1, len(TERMS))
        logs: Floats = np.log(np.maximum((rates * terms).sum(axis=1), self.least_ms_))
        return logs

    def _rates_of(self, kernel: Kernel) -> Floats:
        return next(self.rates_[kind] for kind in reversed(kinds(kernel)) if kind in self.rates_)

    def to_json(self) -> dict[str, Any]:
        """What was learned, as plain values."""
        rates = {kind: own.tolist() for kind, own in self.rates_.items()}
        return {"rates": rates, "least_ms": self.least_ms_}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "AnalyticalCost":
        """What :meth:`to_json` wrote."""
        cost = cls()
        cost.rates_ = {kind: np.array(own, dtype=float) for kind, own in value["rates"].items()}
        cost.least_ms_ = float(value["least_ms"])
        return cost


def _rates(terms: Floats, prices_ms: Floats, wider: Floats | None) -> Floats:
    """Rates of a kind, drawn to those of the wider kind; of all kernels almost to nothing."""
    from scipy.optimize import nnls

    relative = terms / prices_ms[:, None]
    # In units of what a term amounts to in these kernels; one that is absent keeps its rate.
    scale = np.sqrt((relative**2).mean(axis=0))
    present = scale > 0
    found = np.zeros(terms.shape[1]) if wider is None else wider.copy()
    prior = np.full(terms.shape[1], 0.01)
    if wider is not None:
        # What does not vary cannot be told from the kernel itself.
        varies = terms.max(axis=0) >= VARIES * terms.min(axis=0)
        varies[TERMS.index("kernel")] = True
        prior = np.where(varies, PRIOR, FIXED)
    relative, scale = relative[:, present] / scale[present], scale[present]
    pull = np.diag(np.sqrt(prior[present]))
    target = pull @ (found[present] * scale)
    # What is small may be noise: of relative errors alone it would decide.
    weight = np.sqrt(prices_ms / prices_ms.mean())
    for _ in range(ROUNDS):
        rows = np.concatenate([relative * weight[:, None], pull])
        own, _ = nnls(rows, np.concatenate([weight, target]))
        ratio = np.maximum(relative @ own, 1e-9)
        # So that squares of ratios less one become errors of logarithms.
        error = np.maximum(np.abs(np.log(ratio)), NEAR)
        weight = np.sqrt(error) / np.maximum(np.abs(ratio - 1), NEAR)
        weight /= math.sqrt(float((weight**2).mean()))
    found[present] = own / scale
    return found
