"""Prices of kernels: the table, XGBoost for what it lacks, a roofline for the rest."""

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hwnas.kernels import Kernel
from hwnas.predictors.analytical import AnalyticalCost
from hwnas.predictors.boosting import BoostedTrees, Floats
from hwnas.predictors.features import kernel_features, kernel_work, window_axes

FOLDS = 5
LEAST_KERNELS = 30
"""Kernels in the table below which no trees are fitted."""

COPIES = frozenset(
    {"Concat", "DepthToSpace", "Expand", "Flatten", "Gather", "GatherElements", "GatherND"}
    | {"Identity", "Pad", "Reshape", "Slice", "SpaceToDepth", "Split", "Squeeze", "Tile"}
    | {"Transpose", "Unsqueeze"}
)
"""Operators that copy elements without looking at them: what they cost depends on how many bytes
an element has, not on its type. All others calculate, and other types calculate otherwise."""


class KernelPrices:
    """The price of any kernel.

    Trees learn the logarithm of a price over what :class:`AnalyticalCost` says of it, which
    they see too. That carries the sizes, also beyond those that were measured; trees alone
    were off by 22 % on the grouped convolutions of a family that nobody had measured, and by
    4 % with it.

    Learned: ``table_`` (ms by key), ``trees_`` and ``cost_`` (or ``None``), ``roofline_``
    (ms per million MACs, ms per byte, ms per kernel).
    """

    def fit(self, table_ms: Mapping[str, float]) -> "KernelPrices":
        """Fit on measured kernels.

        Args:
            table_ms: Milliseconds by kernel key.
        """
        for learned in ("left_out_ms", "kinds", "kind_errors"):
            self.__dict__.pop(learned, None)
        self.table_ = dict(table_ms)
        kernels = [Kernel.from_key(key) for key in self.table_]
        prices = np.array(list(self.table_.values()))
        self.trees_: BoostedTrees | None = None
        self.cost_: AnalyticalCost | None = None
        self.families_ = sorted({f"{kernel.op}/{kernel.family}" for kernel in kernels})
        if len(kernels) >= LEAST_KERNELS:
            self.cost_ = AnalyticalCost().fit(kernels, prices)
            features, logs = _seen(kernels, self.cost_)
            self.trees_ = BoostedTrees(trees=600, depth=6, rate=0.04)
            self.trees_.fit(features, np.log(prices) - logs)
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
        prices = np.array(list(self.table_.values()))
        _, cell = np.unique([_cell(kernel) for kernel in kernels], return_inverse=True)
        fold = np.random.default_rng(0).permutation(cell.max() + 1)[cell] % FOLDS
        found = np.zeros(len(kernels))
        for part in range(FOLDS):
            inside = fold != part
            cost = AnalyticalCost().fit(
                [kernel for kernel, own in zip(kernels, inside, strict=True) if own],
                prices[inside],
            )
            features, logs = _seen(kernels, cost)
            # A third of the trees: this is for the size of errors, not for prices.
            trees = BoostedTrees(trees=200, depth=6, rate=0.12)
            trees.fit(features[inside], (np.log(prices) - logs)[inside])
            found[~inside] = trees.predict(features[~inside]) + logs[~inside]
        return dict(zip(self.table_, np.exp(found).tolist(), strict=True))

    @cached_property
    def kinds(self) -> frozenset[str]:
        """The kinds of kernels in the table, element types included."""
        return frozenset(_kind(Kernel.from_key(key)) for key in self.table_)

    @cached_property
    def kind_errors(self) -> list[Floats]:
        """What rooflines miss of kinds that nobody measured: logarithms of measured over roofline.

        For each operator and family of the table those of its kernels, with the rates of a
        table that has none of it.
        """
        kernels = [Kernel.from_key(key) for key in self.table_]
        prices = np.array(list(self.table_.values()))
        macs = np.array([kernel.macs for kernel in kernels], dtype=float)
        moved = np.array([kernel.bytes_moved for kernel in kernels], dtype=float)
        _, kind = np.unique([f"{k.op}/{k.family}" for k in kernels], return_inverse=True)
        found = []
        for own in range(kind.max(initial=-1) + 1):
            rates = _rates(macs[kind != own], moved[kind != own], prices[kind != own])
            mine = kind == own
            found.append(np.log(prices[mine] / _bound(rates, macs[mine], moved[mine])))
        return found

    def source(self, kernel: Kernel) -> str:
        """Where a kernel's price comes from: ``table``, ``model`` or ``roofline``.

        The trees know kernels of an operator, a family and an element type that they saw: the
        type is not among their features, so of another one they would say what they say of
        this. Of operators that only copy (:data:`COPIES`) elements of the same size are alike.
        """
        if kernel.key in self.table_:
            return "table"
        # Of the families first: to make the kinds, the keys of the whole table are read.
        seen = f"{kernel.op}/{kernel.family}" in self.families_ and _kind(kernel) in self.kinds
        return "model" if self.trees_ is not None and seen else "roofline"

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
        if modelled and self.trees_ is not None and self.cost_ is not None:
            features, logs = _seen(modelled, self.cost_)
            prices = np.exp(self.trees_.predict(features) + logs)
            found.update(zip(modelled, prices.tolist(), strict=True))
        return found

    def roofline_ms(self, kernel: Kernel) -> float:
        """The dearer of arithmetic and traffic at the device's usual rates, milliseconds."""
        return float(_bound(self.roofline_, kernel.macs, kernel.bytes_moved))

    def to_json(self) -> dict[str, Any]:
        """What was learned, as plain values."""
        return {
            "table": self.table_,
            "families": self.families_,
            "roofline": list(self.roofline_),
            "trees": None if self.trees_ is None else self.trees_.to_json(),
            "cost": None if self.cost_ is None else self.cost_.to_json(),
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
        prices.cost_ = None if value["cost"] is None else AnalyticalCost.from_json(value["cost"])
        return prices


def _seen(kernels: Sequence[Kernel], cost: AnalyticalCost) -> tuple[Floats, Floats]:
    """What trees see of kernels, ``(n, features)``, and the logarithms of their costs, ``(n,)``."""
    logs = cost.log_ms(kernels)
    work = np.log([kernel_work(kernel) for kernel in kernels])
    features = np.array([kernel_features(kernel) for kernel in kernels])
    return np.concatenate([features, (logs - work)[:, None]], axis=1), logs


def _cell(kernel: Kernel) -> str:
    """A kernel's kind, and its sizes to a power of two."""
    data, out = (shapes[0] if shapes else () for shapes in (kernel.inputs, kernel.outputs))
    sizes = [round(math.log2(max(1, size))) for size in (*data[1:], *out[1:])]
    return f"{kernel.op} {kernel.family} {sizes}"


def _kind(kernel: Kernel) -> str:
    """What must be alike for the trees to know a kernel."""
    element = f"{kernel.element_bytes} bytes" if kernel.op in COPIES else kernel.dtype
    # Runtimes have other code for signals and volumes than for images.
    axes = window_axes(kernel)
    windows = f"/{axes}d" if axes not in (0, 2) else ""
    return f"{kernel.op}/{kernel.family}/{element}{windows}"


Rates = tuple[float, float, float]


def _roofline(kernels: list[Kernel], prices: Floats) -> Rates:
    """The rates of kernels, ms: see :func:`_rates`."""
    macs = np.array([kernel.macs for kernel in kernels], dtype=float)
    return _rates(macs, np.array([k.bytes_moved for k in kernels], dtype=float), prices)


def _rates(macs: Floats, moved: Floats, prices: Floats) -> Rates:
    """Milliseconds per million MACs, per byte and per kernel at the median of what was measured."""
    heavy, light = macs > 1e5, macs == 0
    per_mega = float(np.median(prices[heavy] / (macs[heavy] / 1e6))) if heavy.any() else 0.05
    per_byte = per_mega / 50
    if light.any():
        per_byte = float(np.median(prices[light] / np.maximum(moved[light], 1)))
    return per_mega, per_byte, float(prices.min(initial=1e-3))


def _bound(rates: Rates, macs: ArrayLike, moved: ArrayLike) -> Floats:
    """Rooflines, ms, of MACs and bytes of any one shape."""
    per_mega, per_byte, each = rates
    time_ms = np.maximum(np.asarray(macs) / 1e6 * per_mega, np.asarray(moved) * per_byte)
    found: Floats = each + time_ms
    return found
