"""Pricing the genotypes of a space: a gather per slot, one sum, the residual."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwnas.errors import SpecError
from hwnas.predictors.checks import between_0_and_1
from hwnas.predictors.doubt import ESTIMATES
from hwnas.predictors.features import SUMS
from hwnas.predictors.latency import Bag, Floats, LatencyPredictor

Genotypes = NDArray[np.int64]


class Slot(Protocol):
    """Which block stands in a place of the chain, by the choices that decide it."""

    @property
    def choices(self) -> tuple[int, ...]:
        """Indices of the choices."""
        ...

    @property
    def blocks(self) -> NDArray[np.int64]:
        """Index of the block, one axis per choice; -1 where there is none."""
        ...


class Choice(Protocol):
    """One decision of a space."""

    @property
    def name(self) -> str:
        """What is decided."""
        ...

    @property
    def values(self) -> Sequence[Any]:
        """What can be chosen; a gene is an index of it."""
        ...


class Space(Protocol):
    """What genotypes are of."""

    @property
    def choices(self) -> Sequence[Choice]:
        """The choices, one gene each."""
        ...


class Bags(Protocol):
    """The blocks of a space (``hwnas.export.bags.SpaceBags``)."""

    @property
    def space(self) -> Space:
        """The space."""
        ...

    @property
    def slots(self) -> Sequence[Slot]:
        """The places of the chain."""
        ...

    @property
    def keys(self) -> Sequence[str]:
        """The blocks' keys."""
        ...

    @property
    def kernels(self) -> Sequence[Bag]:
        """The kernels of each block."""
        ...


@dataclass(frozen=True)
class SlotCost:
    """What a slot costs for each setting of its choices.

    Args:
        choices: Indices of the choices.
        costs_ms: Milliseconds, one axis per choice.
    """

    choices: tuple[int, ...]
    costs_ms: Floats


ROWS = 8192
"""Genotypes that are priced at once: what is gathered for so many stays in a core's cache."""


@dataclass(frozen=True)
class _SlotTable:
    """What a slot adds for each setting of its choices, flat.

    Args:
        choices: Indices of the choices.
        strides: What a step of each is worth in the flat index.
        prices: Milliseconds, ``(settings,)``.
        terms: Prices, sums over kernels, what is not measured by source, ``(settings, k)``.
    """

    choices: tuple[int, ...]
    strides: tuple[int, ...]
    prices: Floats
    terms: Floats

    def rows(self, columns: Genotypes) -> NDArray[np.int64]:
        """Flat indices ``(n,)`` of genotypes ``(choices, n)``."""
        if not self.choices:
            return np.zeros(columns.shape[1], dtype=np.int64)
        found: NDArray[np.int64] = columns[self.choices[0]] * self.strides[0]
        for choice, stride in zip(self.choices[1:], self.strides[1:], strict=True):
            found += columns[choice] * stride
        return found


class SpacePredictor:
    """Latency of a space's genotypes.

    Args:
        predictor: A fitted predictor.
        bags: The space's blocks.
    """

    def __init__(self, predictor: LatencyPredictor, bags: Bags) -> None:
        predictor.require_fitted()
        self._predictor = predictor
        self._bags = bags
        self._settings = np.array([len(c.values) for c in bags.space.choices], dtype=np.uint64)
        prices, sums = predictor.block_prices(bags.keys, bags.kernels)
        unsure = predictor.block_unsure_ms(bags.keys, bags.kernels)
        known = np.concatenate([prices[:, None], sums, unsure], axis=1)
        # The row behind the last is that of an absent block, which index -1 finds.
        known = np.concatenate([known, np.zeros((1, known.shape[1]))])
        self._prices = known[:, 0]
        self._tables = [_slot_table(slot, known) for slot in bags.slots]
        self.measured_share = float(
            np.mean([key in predictor.blocks_ms_ for key in bags.keys]) if bags.keys else 0.0
        )

    def table_ms(self, genotypes: ArrayLike) -> Floats:
        """Latencies ``(n,)`` by the table alone: the sum of blocks at the scale of networks.

        Raises:
            SpecError: A genotype is not of the space.
        """
        rows = self._genotypes(genotypes)
        found = np.empty(len(rows))
        scale = float(np.exp(self._predictor.network_residual_.scale_))
        for begin in range(0, len(rows), ROWS):
            columns = self._columns(rows, begin)
            parts = np.full(columns.shape[1], self._predictor.call_ms_)
            for table in self._tables:
                parts += table.prices[table.rows(columns)]
            found[begin : begin + ROWS] = parts * scale
        return found

    def predict_ms(self, genotypes: ArrayLike) -> Floats:
        """Latencies ``(n,)`` for genotypes ``(n, choices)``.

        Raises:
            SpecError: A genotype is not of the space.
        """
        parts, sums, _ = self._gathered(self._genotypes(genotypes))
        return self._predictor.predict_sums(parts, sums)

    def _genotypes(self, genotypes: ArrayLike) -> Genotypes:
        """Whole numbers ``(n, choices)``; what they may be, :meth:`_columns` checks."""
        found = np.asarray(genotypes)
        count = len(self._settings)
        if found.dtype.kind not in "iu" or found.ndim != 2 or found.shape[1] != count:
            raise SpecError(
                f"genotypes are whole numbers of shape (n, {count}), a column per choice of the "
                f"space; received {found.dtype} of shape {found.shape}"
            )
        return found.astype(np.int64, copy=False)

    def _columns(self, genotypes: Genotypes, begin: int) -> Genotypes:
        """Some of the genotypes, ``(choices, n)``, each gene checked."""
        columns = np.ascontiguousarray(genotypes[begin : begin + ROWS].T)
        # Without a sign, what is below zero is above all settings: one look at the largest.
        wrong = columns.view(np.uint64).max(axis=1, initial=0) >= self._settings
        if wrong.any() and columns.shape[1]:
            index = int(wrong.argmax())
            choice, settings = self._bags.space.choices[index], int(self._settings[index])
            outside = (columns[index] < 0) | (columns[index] >= settings)
            raise SpecError(
                f"gene {index} ('{choice.name}') is an index from 0 to {settings - 1}; received "
                f"{columns[index][outside.argmax()]} in genotype {begin + int(outside.argmax())}"
            )
        return columns

    def _gathered(self, genotypes: Genotypes) -> tuple[Floats, Floats, Floats]:
        """Sums of genotypes: of blocks, over kernels, and what of them is not measured."""
        found = np.zeros((len(genotypes), 1 + len(SUMS) + len(ESTIMATES)))
        for begin in range(0, len(genotypes), ROWS):
            columns = self._columns(genotypes, begin)
            own = found[begin : begin + ROWS]
            for table in self._tables:
                own += table.terms.take(table.rows(columns), axis=0)
        return found[:, 0], found[:, 1 : 1 + len(SUMS)], found[:, 1 + len(SUMS) :]

    def bounds_ms(self, genotypes: ArrayLike, quantile: float) -> tuple[Floats, Floats]:
        """Bounds ``(n,)`` that the latency stays above, and below, each with ``quantile``.

        Raises:
            SpecError: A genotype is not of the space, or the quantile not between 0 and 1.
        """
        quantile = between_0_and_1("quantile", quantile)
        parts, sums, unsure = self._gathered(self._genotypes(genotypes))
        latency = self._predictor.predict_sums(parts, sums)
        low, high = self._predictor.log_bounds(parts, sums, unsure, quantile)
        return latency * np.exp(low), latency * np.exp(high)

    def slot_costs_ms(self) -> tuple[float, tuple[SlotCost, ...]]:
        """The additive table at the scale of whole networks: a constant and a cost per slot."""
        scale = float(np.exp(self._predictor.network_residual_.scale_))
        return (
            self._predictor.call_ms_ * scale,
            tuple(
                SlotCost(slot.choices, self._prices[slot.blocks] * scale)
                for slot in self._bags.slots
            ),
        )


def _slot_table(slot: Slot, known: Floats) -> _SlotTable:
    blocks = np.ascontiguousarray(slot.blocks)
    strides = tuple(stride // blocks.itemsize for stride in blocks.strides)
    of_settings = known[blocks.ravel()]
    return _SlotTable(slot.choices, strides, of_settings[:, 0].copy(), of_settings)
