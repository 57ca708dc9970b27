"""What the kernel model gains over simpler ones, on kernels that were left out.

python tools/bench/kernel_models.py DEVICE > docs/figures/kernel_models.json

FOLDS folds over a profile's kernels, kernels alike in kind and sizes to a power of two in one fold.
Trees by what they learn: the price over the work, the same with prices that rise in work (monotone
constraints), the price over the analytical cost (ours). Beside them the analytical cost alone and
a roofline. And how often a price falls where an image becomes larger on both sides by half or twice
(of kernels on images): what constraints would forbid, and sums of rising terms do not have.
"""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from hwnas.kernels import Kernel
from hwnas.kernels.kernel import Shape
from hwnas.predictors.analytical import AnalyticalCost
from hwnas.predictors.boosting import BoostedTrees, Floats
from hwnas.predictors.features import kernel_features, kernel_work, window_axes
from hwnas.predictors.kernel_model import KernelPrices, _cell
from hwnas.predictors.parts import part_prices
from hwnas.profiles import DeviceProfile

FOLDS = 5
RISING = (0, 1, 2, 14, 15)
"""Features in which a price rises where it rises in work: work, MACs, bytes, elements."""
FACTORS = (1.5, 2)

Priced = Callable[[Sequence[Kernel]], Floats]
Fitted = Callable[[Sequence[Kernel], Floats], Priced]


def seen(kernels: Sequence[Kernel]) -> tuple[Floats, Floats]:
    work = np.log([kernel_work(kernel) for kernel in kernels])
    return np.array([kernel_features(kernel) for kernel in kernels]), work


def over_work(*, rising: bool) -> Fitted:
    def fit(kernels: Sequence[Kernel], prices_ms: Floats) -> Priced:
        features, work = seen(kernels)
        monotone = tuple(int(rising and i in RISING) for i in range(features.shape[1]))
        trees = BoostedTrees(trees=600, depth=6, rate=0.04)
        # Of price over work nothing is monotone; of the price itself work is.
        target = np.log(prices_ms) - (0 if rising else work)
        trees.fit(features, target - target.mean(), monotone)

        def priced(own: Sequence[Kernel]) -> Floats:
            rows, its = seen(own)
            logs = trees.predict(rows) + target.mean() + (0 if rising else its)
            return np.exp(logs)

        return priced

    return fit


def analytical(kernels: Sequence[Kernel], prices_ms: Floats) -> Priced:
    cost = AnalyticalCost().fit(kernels, prices_ms)
    return lambda own: np.exp(cost.log_ms(own))


def ours(kernels: Sequence[Kernel], prices_ms: Floats) -> Priced:
    keys = [kernel.key for kernel in kernels]
    model = KernelPrices().fit(dict(zip(keys, prices_ms.tolist(), strict=True)))
    # The model alone: it knows the kinds, and nothing of the table.
    assert model.kinds
    model.table_ = {}

    def priced(own: Sequence[Kernel]) -> Floats:
        found = model.prices_ms(own)
        return np.array([found[kernel] for kernel in own])

    return priced


def roofline(kernels: Sequence[Kernel], prices_ms: Floats) -> Priced:
    keys = [kernel.key for kernel in kernels]
    model = KernelPrices().fit(dict(zip(keys, prices_ms.tolist(), strict=True)))
    return lambda own: np.array([model.roofline_ms(kernel) for kernel in own])


MODELS: dict[str, Fitted] = {
    "ours": ours,
    "analytical": analytical,
    "trees_over_work": over_work(rising=False),
    "trees_that_rise": over_work(rising=True),
    "roofline": roofline,
}


def larger(kernel: Kernel, factor: float) -> Kernel | None:
    """A kernel on images of more pixels; ``None`` where its image has no two sides."""
    if window_axes(kernel) != 2 or kernel.outputs[0][2] < 4 or kernel.outputs[0][3] < 4:
        return None

    def grown(shape: Shape) -> Shape:
        if len(shape) < 4 or shape[2] < 4:
            return shape
        return (*shape[:2], *(round(side * factor) for side in shape[2:]))

    own = replace(
        kernel,
        inputs=tuple(grown(shape) for shape in kernel.inputs),
        outputs=tuple(grown(shape) for shape in kernel.outputs),
    )
    return own if own.macs > kernel.macs or not kernel.macs else None


def main() -> None:
    profile = DeviceProfile.open(sys.argv[1])
    records = profile.read()
    _, prices = part_prices(records)
    known = {k.removeprefix("kernel:"): v for k, v in prices.items() if k.startswith("kernel:")}
    kernels, truth = [Kernel.from_key(key) for key in known], np.array(list(known.values()))
    _, cell = np.unique([_cell(kernel) for kernel in kernels], return_inverse=True)
    fold = np.random.default_rng(0).permutation(cell.max() + 1)[cell] % FOLDS
    pairs = [
        (kernel, own)
        for kernel in kernels
        for factor in FACTORS
        if (own := larger(kernel, factor)) is not None
    ]
    rows = {}
    for name, fit in MODELS.items():
        priced = np.zeros(len(kernels))
        for part in range(FOLDS):
            inside = fold != part
            model = fit([k for k, i in zip(kernels, inside, strict=True) if i], truth[inside])
            out = [k for k, i in zip(kernels, inside, strict=True) if not i]
            priced[~inside] = model(out)
        model = fit(kernels, truth)
        small, large = model([one for one, _ in pairs]), model([other for _, other in pairs])
        error = 100 * np.abs(priced / truth - 1)
        rows[name] = {
            "mape_pct": round(float(error.mean()), 2),
            "median_pct": round(float(np.median(error)), 2),
            "within_10_pct": round(float(100 * np.mean(error <= 10)), 1),
            "worse_than_2x_pct": round(
                float(100 * np.mean(np.abs(np.log2(priced / truth)) > 1)), 2
            ),
            "error_of_the_time_pct": round(
                float(100 * np.abs(priced - truth).sum() / truth.sum()), 2
            ),
            "falls_with_pixels_pct": round(float(100 * np.mean(large < small * 0.999)), 2),
        }
        print(name, json.dumps(rows[name]), file=sys.stderr)
    conditions = next(iter(records.sessions.values()))
    print(
        json.dumps(
            {
                "machine": {key: conditions[key] for key in ("cpu", "cores", "memory_mib")},
                "runtime": f"{conditions['runtime']} {conditions['version']}",
                "device": profile.device.name,
                "kernels": len(kernels),
                "folds": FOLDS,
                "pairs_of_images": len(pairs),
                "models": rows,
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
