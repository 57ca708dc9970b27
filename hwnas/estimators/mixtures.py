"""Shared weights whose slots are mixed: what DARTS and GDAS move through."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from hwnas.errors import RequestError
from hwnas.estimators.paths import PathTrainer
from hwnas.estimators.unrolled import unrolled_gradient
from hwnas.nets.mixture import mixed_forward, most_blocks
from hwnas.spaces.space import SearchSpace

Floats = NDArray[np.float64]

MOST_BLOCKS = 64
"""Blocks of a slot that are run at once, at most."""


def require_mixable(space: SearchSpace, strategy: str) -> None:
    """Refuse a space whose slots have more blocks than can be run at once.

    Args:
        space: The space.
        strategy: Who wants to, for the error.

    Raises:
        RequestError: A slot has too many.
    """
    found = most_blocks(space, MOST_BLOCKS)
    if found is not None:
        slot, settings = found
        raise RequestError(
            f"strategy '{strategy}' runs all blocks of a slot at once, at most {MOST_BLOCKS} "
            f"different ones of one shape; slot '{slot}' of space '{space.name}' has more "
            f"({settings:,} settings). Use 'gradient' or 'gdas', which run one path at a time, or "
            "a space with fewer choices in a slot"
        )


class MixtureTrainer(PathTrainer):
    """Shared weights that are trained along paths or as mixtures, and probed by the shares.

    Shares are one vector in double precision per gene, the share of each value; those of
    genes that change shapes do not count.
    """

    def mixed_weight_step(self, genotype: Sequence[int], shares: Sequence[Floats]) -> float:
        """One step of the weights of a mixture; the training loss.

        Args:
            genotype: Gives the values of the genes that change shapes.
            shares: The share of each value of each gene.

        Raises:
            DivergedError: The loss is not finite.
        """
        fixed = [torch.from_numpy(own) for own in shares]
        return self._descend(
            genotype, lambda images: mixed_forward(self.network, images, genotype, fixed)
        )

    def mixed_gate_step(
        self, genotype: Sequence[int], shares: Sequence[Floats]
    ) -> tuple[float, list[Floats]]:
        """Held-out loss of a mixture, and its derivatives by the shares.

        Blocks without a share are not run, and count as if they gave 0: with shares of
        1 and 0 the memory is that of one path.
        """
        leaves = _leaves(shares)
        loss = self._mixed_loss(self._batch(1, genotype), genotype, leaves)
        found = torch.autograd.grad(loss, leaves, allow_unused=True)
        return float(loss.item()), [
            np.zeros(len(own)) if slope is None else slope.numpy()
            for own, slope in zip(leaves, found, strict=True)
        ]

    def unrolled_gate_step(
        self, genotype: Sequence[int], shares: Sequence[Floats]
    ) -> tuple[float, list[Floats]]:
        """The same through one more step of the weights, on a batch of training images."""
        leaves = _leaves(shares)
        train, held_out = self._batch(0, genotype), self._batch(1, genotype)
        loss, found = unrolled_gradient(
            self._optimiser,
            leaves,
            lambda: self._mixed_loss(train, genotype, leaves),
            lambda: self._mixed_loss(held_out, genotype, leaves),
        )
        return loss, [slope.numpy() for slope in found]

    def _mixed_loss(
        self, batch: tuple[Tensor, Tensor], genotype: Sequence[int], shares: Sequence[Tensor]
    ) -> Tensor:
        images, labels = batch
        logits = mixed_forward(self.network, images, genotype, shares)
        return functional.cross_entropy(logits, labels)


def _leaves(shares: Sequence[Floats]) -> list[Tensor]:
    return [torch.from_numpy(own.copy()).requires_grad_() for own in shares]
