"""Prices of kernels: the table, XGBoost for what it lacks, a roofline for the rest."""

import math
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

import numpy as np

from hwnas.kernels import Kernel
from hwnas.predictors.boosting import BoostedTrees
from hwnas.predictors.features import kernel_features, kernel_work

FOLDS = 5
LEAST_KERNELS = 30
"""Kernels in the table below which no trees are fitted."""


class KernelPrices:
    """The price of any kernel.

    Learned: ``table_`` (ms by key), ``trees_`` (or ``None``), ``roofline_``
    (ms per million MACs, ms per byte, ms per kernel).
    """

    def fit(self, table_ms: Mapping[str, float]) -> "KernelPrices":
        """Fit on measured kernels.

        Args:
            table_ms: Milliseconds by kernel key.
        """
        self.__dict__.pop("left_out_ms", None)
        self.table_ = dict(table_ms)
        kernels = [Kernel.from_key(key) for key in self.table_]
        prices = np.array(list(self.table_.values()))
        self.trees_: BoostedTrees | None = None
        self.families_ = sorted({f"{kernel.op}/{kernel.family}" for kernel in kernels})
        if len(kernels) >= LEAST_KERNELS:
            self.trees_ = BoostedTrees(trees=600, depth=6, rate=0.04).fit(
                np.array([kernel_features(kernel) for kernel in kernels]),
                np.log(prices / np.array([kernel_work(kernel) for kernel in kernels])),
            )
        self.roofline_ = _roofline(kernels, prices)
        return self

    @cached_property
    def left_out_ms(self) -> dict[str, float]:
        """What trees say of each kernel of the table without it and those like it, ms by key.

        Five folds; kernels of a kind whose sizes are equal to a power of two are in the
        same one, since a network that nobody saw has sizes that nobody saw. Empty where the
        table is too small for trees.
        """
        if self.trees_ is None:
            return {}
        kernels = [Kernel.from_key(key) for key in self.table_]
        work = np.array([kernel_work(kernel) for kernel in kernels])
        features = np.array([kernel_features(kernel) for kernel in kernels])
        target = np.log(np.array(list(self.table_.values())) / work)
        _, cell = np.unique([_cell(kernel) for kernel in kernels], return_inverse=True)
        fold = np.random.default_rng(0).permutation(cell.max() + 1)[cell] % FOLDS
        found = np.zeros(len(kernels))
        for part in range(FOLDS):
            inside = fold != part
            # A third of the trees: this is for the size of errors, not for prices.
            trees = BoostedTrees(trees=200, depth=6, rate=0.12)
            trees.fit(features[inside], target[inside])
            found[~inside] = trees.predict(features[~inside])
        return dict(zip(self.table_, (work * np.exp(found)).tolist(), strict=True))

    def source(self, kernel: Kernel) -> str:
        """Where a kernel's price comes from: ``table``, ``model`` or ``roofline``."""
        if kernel.key in self.table_:
            return "table"
        known = f"{kernel.op}/{kernel.family}" in self.families_
        return "model" if self.trees_ is not None and known else "roofline"

    def prices_ms(self, kernels: Iterable[Kernel]) -> dict[Kernel, float]:
        """Prices of kernels, milliseconds."""
        found: dict[Kernel, float] = {}
        modelled: list[Kernel] = []
        for kernel in kernels:
            source = self.source(kernel)
            if source == "table":
                found[kernel] = self.table_[kernel.key]
            elif source == "model":
                modelled.append(kernel)
            else:
                found[kernel] = self.roofline_ms(kernel)
        if modelled and self.trees_ is not None:
            work = np.array([kernel_work(kernel) for kernel in modelled])
            logs = self.trees_.predict(np.array([kernel_features(k) for k in modelled]))
            for kernel, price in zip(modelled, work * np.exp(logs), strict=True):
                found[kernel] = float(price)
        return found

    def roofline_ms(self, kernel: Kernel) -> float:
        """The dearer of arithmetic and traffic at the device's usual rates, milliseconds."""
        per_mega, per_byte, each = self.roofline_
        return each + max(kernel.macs / 1e6 * per_mega, kernel.bytes_moved * per_byte)

    def to_json(self) -> dict[str, Any]:
        """What was learned, as plain values."""
        return {
            "table": self.table_,
            "families": self.families_,
            "roofline": list(self.roofline_),
            "trees": None if self.trees_ is None else self.trees_.to_json(),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "KernelPrices":
        """What :meth:`to_json` wrote."""
        prices = cls()
        prices.table_ = dict(value["table"])
        prices.families_ = list(value["families"])
        per_mega, per_byte, each = value["roofline"]
        prices.roofline_ = (per_mega, per_byte, each)
        prices.trees_ = None if value["trees"] is None else BoostedTrees.from_json(value["trees"])
        return prices


def _cell(kernel: Kernel) -> str:
    """A kernel's kind, and its sizes to a power of two."""
    data, out = (shapes[0] if shapes else () for shapes in (kernel.inputs, kernel.outputs))
    sizes = [round(math.log2(max(1, size))) for size in (*data[1:], *out[1:])]
    return f"{kernel.op} {kernel.family} {sizes}"


def _roofline(kernels: list[Kernel], prices: np.ndarray) -> tuple[float, float, float]:
    """Milliseconds per million MACs, per byte and per kernel at the median of what was measured."""
    heavy = [p / (k.macs / 1e6) for k, p in zip(kernels, prices, strict=True) if k.macs > 1e5]
    light = [p / k.bytes_moved for k, p in zip(kernels, prices, strict=True) if k.macs == 0]
    per_mega = float(np.median(heavy)) if heavy else 0.05
    per_byte = float(np.median(light)) if light else per_mega / 50
    return per_mega, per_byte, float(prices.min(initial=1e-3))
