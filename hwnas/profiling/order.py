"""What to measure next: the parts whose prices the space's networks depend on and nobody knows."""

from collections.abc import Collection

import numpy as np

from hwnas.errors import ProfileError
from hwnas.kernels import Kernel
from hwnas.predictors.boosting import BoostedTrees, Floats
from hwnas.predictors.features import kernel_features, kernel_work
from hwnas.predictors.kernel_model import LEAST_KERNELS
from hwnas.predictors.parts import part_prices
from hwnas.profiles import Records
from hwnas.profiling.plan import PartPlan

MODELS = 4
PRIOR_KERNEL = 0.15
"""Most that is believed of the committee's relative error out of sample."""

PRIOR_BLOCK = 0.1
"""Relative error of a block as the sum of known kernels, before any are compared."""

LEAST_BLOCKS = 8
"""Measured blocks from which on they tell that error."""

VISIT_MS = 12.0
RUNS = 80
"""A part takes about so long to build, and so many inferences to measure."""

SHARED = 3.0


class InformedOrder:
    """Parts by how much measuring them is expected to tell, per second that it takes.

    A network's predicted latency is a sum over its blocks, and a block that was
    not measured is a sum over its kernels. So the variance that a part leaves in
    the space's relative latencies is the mean square of its share in a network's
    latency, times the square of the relative uncertainty of its price. For a kernel
    that comes from the spread of an ensemble of trees on what was measured so far
    (query by committee, Seung et al., 1992; with subsampled committees, Freund et
    al., 1997), together with the error that the committee has out of sample; for a
    block from its unmeasured kernels and from what sums of kernels were seen to
    miss. Before enough kernels are known the use alone decides, and kernels come
    first. After that every second part is drawn at random, so that the trees and the
    corrections learn from more than what is dear and often used.

    What a kernel costs also tells about kernels like it, so its gain counts
    ``SHARED`` times; that number was chosen on a profile of ``mobilenet-32``, and
    what the order is worth is shown on others (``tools/bench/profiling_cost.py``).

    Args:
        plan: The space's parts and how often its networks use them.
        seed: Seed of the ensemble.
    """

    def __init__(self, plan: PartPlan, seed: int) -> None:
        self._plan = plan
        self._seed = seed
        self._own = list(plan.kernel_use)
        self._work = np.array([kernel_work(kernel) for kernel in self._own])
        self._features = np.array([kernel_features(kernel) for kernel in self._own])
        self._row = {kernel.key: position for position, kernel in enumerate(self._own)}
        self._blocks = [plan.block_key(block) for block in plan.block_use]
        self._bags = np.zeros((len(self._blocks), len(self._own)))
        for row, block in enumerate(plan.block_use):
            for kernel, count in plan.block_kernels(block).items():
                self._bags[row, self._row[kernel.key]] = count

    def ordered(self, records: Records, done: Collection[str]) -> list[str]:
        """Keys of the parts that are not done, what tells most first.

        Args:
            records: What is measured so far.
            done: Keys to leave out.
        """
        try:
            _, prices = part_prices(records)
        except ProfileError:
            prices = {}
        # In an order that does not depend on that of the records.
        table = {k.removeprefix("kernel:"): prices[k] for k in sorted(prices) if k[:7] == "kernel:"}
        if len(table) < LEAST_KERNELS:
            order = self._plan.ordered(set(done))
            return sorted(order, key=lambda key: not key.startswith("kernel:"))
        cost, spread = self._kernels(table)
        sums = self._bags @ cost
        missed = self._missed(prices, sums)
        left = np.array([key not in prices for key in self._blocks])
        # Shares of the networks' latencies, since errors are relative.
        uses = self._plan.usage[:, left] / (self._plan.usage @ sums)[:, None]
        variance = (cost * spread) ** 2
        of_blocks = self._bags[left] ** 2 @ variance + (missed * sums[left]) ** 2
        block_gains = (uses**2).sum(axis=0) * of_blocks / (VISIT_MS + RUNS * sums[left])
        kernel_uses = ((uses @ self._bags[left]) ** 2).sum(axis=0)
        kernel_gains = SHARED * kernel_uses * variance / (VISIT_MS + RUNS * cost)
        own = [key for key, is_left in zip(self._blocks, left, strict=True) if is_left]
        gains = dict(zip(own, block_gains.tolist(), strict=True))
        gains |= {
            f"kernel:{key}": gain
            for key, gain, use in zip(self._row, kernel_gains.tolist(), kernel_uses, strict=True)
            if use > 0
        }
        known = set(done)
        informed = sorted(
            (key for key in gains if key not in known), key=lambda key: (-gains[key], key)
        )
        # Kernels that no unmeasured block has any more come last: only other files use them.
        rest = [key for key in self._plan.ordered(known) if key not in gains]
        return self._mixed(informed, len(known)) + rest

    def _mixed(self, informed: list[str], number: int) -> list[str]:
        """Every second part drawn at random from those that are left."""
        drawn = np.random.default_rng([self._seed, number]).permutation(len(informed))
        pairs = zip(informed, (informed[i] for i in drawn), strict=True)
        return list(dict.fromkeys(key for pair in pairs for key in pair))

    def _missed(self, prices: dict[str, float], sums: Floats) -> float:
        """Relative error of a block as the sum of its kernels, as far as blocks are measured."""
        ratios = [
            np.log(prices[key] / price)
            for key, price in zip(self._blocks, sums, strict=True)
            if key in prices
        ]
        if len(ratios) < LEAST_BLOCKS:
            return PRIOR_BLOCK
        # What they have in common is no error: the fit corrects it.
        return 1.48 * float(np.median(np.abs(np.array(ratios) - np.median(ratios))))

    def _kernels(self, table: dict[str, float]) -> tuple[Floats, Floats]:
        """Prices, ms, and their relative uncertainties; 0 for those in the table."""
        # Kernels of other spaces tell too.
        others = [Kernel.from_key(key) for key in table if key not in self._row]
        own = [self._row[key] for key in table if key in self._row]
        x = np.array([*self._features[own], *(kernel_features(kernel) for kernel in others)])
        work = np.array([*self._work[own], *(kernel_work(kernel) for kernel in others)])
        known = [table[key] for key in table if key in self._row]
        known += [table[kernel.key] for kernel in others]
        y = np.log(np.array(known) / work)
        fold = np.random.default_rng(self._seed).permutation(len(y)) % MODELS
        guesses, errors = [], np.zeros(len(y))
        for member in range(MODELS):
            inside = fold != member
            trees = BoostedTrees(trees=80, depth=5, rate=0.15, seed=self._seed + member)
            trees.fit(x[inside], y[inside])
            guesses.append(trees.predict(self._features))
            errors[~inside] = y[~inside] - trees.predict(x[~inside])
        outside = float(np.median(np.abs(errors))) * 1.48
        spread = np.sqrt(np.var(guesses, axis=0) + min(outside, PRIOR_KERNEL) ** 2)
        price = self._work * np.exp(np.mean(guesses, axis=0))
        for key, position in self._row.items():
            if key in table:
                price[position], spread[position] = table[key], 0.0
        return price, spread
