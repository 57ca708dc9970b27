"""The expected latency bound of a distribution over choices, and its gradient."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from hwnas.search.constraint import Floats, LatencyConstraint
from hwnas.spaces.space import Genotypes, SearchSpace

PROBES = 4


class ExpectedLatency:
    """E[bound] for independent choices: the table's part exactly, the rest by sampling.

    The table is a sum over slots of a cost that depends on a few choices, so its
    expectation is a sum of products of probabilities. What the bound adds to
    the table is any function f of the choices; its multilinear extension has the
    derivatives ∂E[f]/∂p_ij = E[f with choice i set to j], which a batch of drawn
    architectures estimates without bias and without any gradient of f.

    Args:
        space: The choices.
        constraint: Whose upper bound is expected.
        probes: Architectures drawn per step.
    """

    def __init__(
        self, space: SearchSpace, constraint: LatencyConstraint, probes: int = PROBES
    ) -> None:
        self._space = space
        self._constraint = constraint
        self._probes = probes
        self._constant_ms, slots = constraint.predictor.slot_costs_ms()
        self._slots = [(slot.choices, slot.costs_ms) for slot in slots]
        self._tensors = [torch.from_numpy(np.ascontiguousarray(c)) for _, c in self._slots]
        sets = [(i, j) for i, choice in enumerate(space.choices) for j in range(len(choice.values))]
        self._genes = np.array([i for i, _ in sets])
        self._values = np.array([j for _, j in sets])

    def table_expectation(self, probabilities: list[Tensor]) -> Tensor:
        """The table's exact expectation, differentiable in the probabilities."""
        total = torch.tensor(self._constant_ms, dtype=torch.float64)
        for (choices, _), costs in zip(self._slots, self._tensors, strict=True):
            value = costs
            for choice in choices:
                # The first axis is contracted each time, so the next choice is first.
                value = torch.tensordot(probabilities[choice], value, dims=([0], [0]))
            total = total + value
        return total

    def rest_ms(self, genotypes: Genotypes) -> Floats:
        """What the upper bound adds to the table, ``(n,)``."""
        canonical = self._space.canonical(genotypes)
        rest: Floats = self._constraint.upper_ms(canonical) - self._constraint.predictor.table_ms(
            genotypes
        )
        return rest

    def gradient(
        self, logits: list[Tensor], sample: Callable[[int], Genotypes]
    ) -> tuple[float, list[Tensor]]:
        """The expected bound, ms, and its gradient by the logits.

        Args:
            logits: One vector per choice.
            sample: Draws every choice from the logits' probabilities, independently, so
                that setting a depth brings out the choices that it switches on.
        """
        inputs = [item.detach().clone().requires_grad_() for item in logits]
        probabilities = [torch.softmax(item, 0) for item in inputs]
        table = self.table_expectation(probabilities)
        drawn = sample(self._probes)
        moved = np.repeat(drawn[None], len(self._genes), axis=0)
        moved[np.arange(len(self._genes)), :, self._genes] = self._values[:, None]
        flat = np.concatenate([moved.reshape(-1, drawn.shape[1]), drawn])
        rest = self.rest_ms(flat)
        own = rest[len(moved) * self._probes :].mean()
        slopes = rest[: len(moved) * self._probes].reshape(len(moved), self._probes).mean(axis=1)
        # A term linear in the probabilities carries the sampled derivatives.
        extension = torch.zeros((), dtype=torch.float64)
        for gene, p in enumerate(probabilities):
            extension = extension + (p * torch.from_numpy(slopes[self._genes == gene])).sum()
        gradients = torch.autograd.grad(table + extension, inputs)
        return float(table.detach()) + float(own), list(gradients)
