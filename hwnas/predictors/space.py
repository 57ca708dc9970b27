"""Pricing the genotypes of a space: a gather per slot, one sum, the residual."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

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


class Bags(Protocol):
    """The blocks of a space (``hwnas.export.bags.SpaceBags``)."""

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

    def block_indices(self, genotypes: Genotypes) -> NDArray[np.int64]:
        """Blocks ``(n, slots)`` of genotypes ``(n, choices)``."""
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


class SpacePredictor:
    """Latency of a space's genotypes.

    Args:
        predictor: A fitted predictor.
        bags: The space's blocks.
    """

    def __init__(self, predictor: LatencyPredictor, bags: Bags) -> None:
        self._predictor = predictor
        self._bags = bags
        prices, sums = predictor.block_prices(bags.keys, bags.kernels)
        # The row behind the last is that of an absent block, which index -1 finds.
        self._prices = np.append(prices, 0.0)
        self._sums = np.concatenate([sums, np.zeros((1, len(SUMS)))])
        unsure = predictor.block_unsure_ms(bags.keys, bags.kernels)
        self._unsure = np.concatenate([unsure, np.zeros((1, len(ESTIMATES)))])
        self.measured_share = float(
            np.mean([key in predictor.blocks_ms_ for key in bags.keys]) if bags.keys else 0.0
        )

    def table_ms(self, genotypes: Genotypes) -> Floats:
        """Latencies ``(n,)`` by the table alone: the sum of blocks at the scale of networks."""
        parts = np.full(len(genotypes), self._predictor.call_ms_)
        for column in self._bags.block_indices(genotypes).T:
            parts += self._prices[column]
        scaled: Floats = parts * np.exp(self._predictor.network_residual_.scale_)
        return scaled

    def predict_ms(self, genotypes: Genotypes) -> Floats:
        """Latencies ``(n,)`` for genotypes ``(n, choices)``."""
        parts, sums, _ = self._gathered(genotypes)
        return self._predictor.predict_sums(parts, sums)

    def _gathered(self, genotypes: Genotypes) -> tuple[Floats, Floats, Floats]:
        """Sums of genotypes: of blocks, over kernels, and what of them is not measured."""
        parts = np.zeros(len(genotypes))
        sums = np.zeros((len(genotypes), self._sums.shape[1]))
        unsure = np.zeros((len(genotypes), self._unsure.shape[1]))
        sure = not self._unsure.any()
        for column in self._bags.block_indices(genotypes).T:
            parts += self._prices[column]
            sums += self._sums[column]
            if not sure:
                unsure += self._unsure[column]
        return parts, sums, unsure

    def bounds_ms(self, genotypes: Genotypes, quantile: float) -> tuple[Floats, Floats]:
        """Bounds ``(n,)`` that the latency stays above, and below, each with ``quantile``."""
        parts, sums, unsure = self._gathered(genotypes)
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
