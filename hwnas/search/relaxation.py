"""Probabilities over choices, moved by gradients through sampled paths."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from hwnas.errors import DivergedError
from hwnas.search.constraint import Genotype, LatencyConstraint, genes, rows
from hwnas.search.dual import Dual
from hwnas.search.expectation import ExpectedLatency
from hwnas.spaces.space import Genotypes, SearchSpace

BASELINE_DECAY = 0.9
BETAS = (0.9, 0.99)
PATIENCE = 5

Info = dict[str, float]


class PathModel(Protocol):
    """Shared weights that are trained and probed along one path at a time."""

    global_genes: tuple[int, ...]

    def weight_step(self, genotype: Sequence[int]) -> float:
        """One step of the weights along a path; returns the training loss.

        Raises:
            DivergedError: The loss is not finite.
        """
        ...

    def gate_step(
        self, genotype: Sequence[int], alternatives: Mapping[int, int]
    ) -> tuple[float, dict[int, tuple[float, float]]]:
        """Held-out loss along a path, and its derivatives by the gates of some genes.

        For each gene of ``alternatives``: by the gate of the path's value, and by
        that of the alternative.
        """
        ...

    def save(self, path: Path) -> None:
        """Write weights and generator states."""
        ...

    def load(self, path: Path) -> None:
        """Go on from what :meth:`save` wrote."""
        ...


class Relaxation:
    """Independent probabilities of the choices' values, and the steps that move them.

    The weights train along one sampled path at a time. Choices with a gate are
    moved by ProxylessNAS's pairs (Cai et al., 2019, section 3.2): two values, the
    path's and another, are compared by the derivatives of their binary gates.
    There the softmax is taken over the two alone and the others keep their
    probability. Here the difference is divided by the probability that this pair
    is compared, so that the expected step is that of the whole softmax,
    Σ_j p_i p_j (g_i − g_j), however many values a choice has: the latency's
    gradient is that of the whole softmax too, and the trade between both must not
    depend on the number of values. Budgets are short, so Adam averages gradients
    and its rate is high (there: beta1 0 and 1e-3).

    Choices that change shapes (resolution, width) have no gate and are moved by
    the score function of the held-out loss with a moving baseline (Williams, 1992).

    The objective is E[loss] + λ·(E[bound]/limit − 1) with the expected upper
    bound of the latency (:class:`ExpectedLatency`), λ by :class:`Dual`.

    A step whose loss is not finite moves no probability, and the next one draws
    another path; after ``PATIENCE`` such steps in a row the weights are taken for
    lost, and the relaxation ends where it is.

    Args:
        space: Where to search.
        constraint: The limit.
        seed: Seed of everything random here; the model has its own.
        model: The shared weights.
        steps: Steps in all.
        rate: Learning rate of the logits.
    """

    def __init__(
        self,
        space: SearchSpace,
        constraint: LatencyConstraint,
        seed: int,
        *,
        model: PathModel,
        steps: int,
        rate: float,
    ) -> None:
        self.space = space
        self.constraint = constraint
        self.model = model
        self.steps = steps
        self.rng = np.random.default_rng(seed)
        self.step = 0
        self.diverged = 0
        self.dual = Dual()
        self.multiplier = 0.0
        self.baseline: float | None = None
        self.logits = [
            torch.zeros(len(choice.values), dtype=torch.float64, requires_grad=True)
            for choice in space.choices
        ]
        self._optimiser = torch.optim.Adam(self.logits, lr=rate, betas=BETAS)
        self._expected = ExpectedLatency(space, constraint)

    @property
    def stopped(self) -> bool:
        """Whether the weights diverged for good."""
        return self.diverged >= PATIENCE

    @property
    def done(self) -> bool:
        """Whether there is no step left to do."""
        return self.stopped or self.step >= self.steps

    def probabilities(self) -> list[np.ndarray]:
        """Probability of each value of each choice."""
        return [torch.softmax(item.detach(), 0).numpy() for item in self.logits]

    def draw(self, rng: np.random.Generator, count: int) -> Genotypes:
        """Independent draws of every choice, ``(count, choices)``, also of those switched off."""
        columns = [rng.choice(len(p), size=count, p=p / p.sum()) for p in self.probabilities()]
        return np.stack(columns, axis=1).astype(np.int64)

    def sample(self, rng: np.random.Generator, count: int) -> Genotypes:
        """Canonical genotypes drawn from the probabilities, ``(count, choices)``."""
        return self.space.canonical(self.draw(rng, count))

    def advance(self, *, warm: bool) -> Info:
        """One step of the weights and, unless warming up, one of the probabilities.

        Args:
            warm: Train the weights on a uniform path, and leave the probabilities.

        Returns:
            ``multiplier``; ``diverged``, the steps in a row that did; and, where
            they are had, ``loss``, ``held_out`` and ``expected_ms``.
        """
        path = genes(
            self.space.sample(self.rng, 1, over="choices")[0]
            if warm
            else self.sample(self.rng, 1)[0]
        )
        info: Info = {}
        try:
            info["loss"] = _finite(self.model.weight_step(path))
            if not warm:
                info |= self._move_probabilities()
            self.diverged = 0
        except DivergedError:
            self.diverged += 1
        self.step += 1
        return {**info, "multiplier": self.multiplier, "diverged": float(self.diverged)}

    def _move_probabilities(self) -> Info:
        path = genes(self.sample(self.rng, 1)[0])
        alternatives = self._alternatives(path)
        loss, gates = self.model.gate_step(path, alternatives)
        _finite(loss)
        gradients = [torch.zeros_like(item) for item in self.logits]
        for gene, (own_gate, other_gate) in gates.items():
            own, other = path[gene], alternatives[gene]
            p = torch.softmax(self.logits[gene].detach(), 0)
            slope = _finite(own_gate - other_gate) * pair_weight(p, own, other)
            gradients[gene][own] += slope
            gradients[gene][other] -= slope
        advantage = 0.0 if self.baseline is None else loss - self.baseline
        self.baseline = (
            loss
            if self.baseline is None
            else BASELINE_DECAY * self.baseline + (1 - BASELINE_DECAY) * loss
        )
        for gene in self.model.global_genes:
            score = -torch.softmax(self.logits[gene].detach(), 0)
            score[path[gene]] += 1
            gradients[gene] += advantage * score

        expected, slopes = self._expected.gradient(
            self.logits, lambda count: self.draw(self.rng, count)
        )
        limit_ms = self.constraint.limit_ms
        self.multiplier = self.dual.step(
            expected / limit_ms, _norm(gradients), _norm(slopes) / limit_ms
        )
        for item, gradient, slope_ms in zip(self.logits, gradients, slopes, strict=True):
            item.grad = gradient + self.multiplier * slope_ms / limit_ms
        self._optimiser.step()
        return {"held_out": loss, "expected_ms": expected}

    def _alternatives(self, path: Genotype) -> dict[int, int]:
        active = self.space.active(rows([path]))[0]
        found = {}
        for gene, p in enumerate(self.probabilities()):
            if not active[gene] or gene in self.model.global_genes or len(p) < 2:
                continue
            others = p.copy()
            others[path[gene]] = 0.0
            others += 1e-6 * (np.arange(len(p)) != path[gene])
            found[gene] = int(self.rng.choice(len(p), p=others / others.sum()))
        return found

    def state_dict(self) -> dict[str, Any]:
        """All but the model, as JSON: logits, moments, λ, baseline, generator, counts."""
        moments = self._optimiser.state_dict()["state"]
        return {
            "step": self.step,
            "diverged": self.diverged,
            "multiplier": self.multiplier,
            "dual": self.dual.state_dict(),
            "baseline": self.baseline,
            "rng": self.rng.bit_generator.state,
            "logits": [item.detach().tolist() for item in self.logits],
            "moments": {
                str(key): {name: value.tolist() for name, value in item.items()}
                for key, item in moments.items()
            },
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state_dict` gave."""
        self.step, self.diverged = int(state["step"]), int(state["diverged"])
        self.multiplier, self.baseline = float(state["multiplier"]), state["baseline"]
        self.dual.load_state_dict(state["dual"])
        self.rng.bit_generator.state = state["rng"]
        with torch.no_grad():
            for item, values in zip(self.logits, state["logits"], strict=True):
                item.copy_(torch.tensor(values, dtype=torch.float64))
        whole = self._optimiser.state_dict()
        whole["state"] = {
            int(key): {
                name: torch.tensor(value, dtype=torch.float32 if name == "step" else torch.float64)
                for name, value in item.items()
            }
            for key, item in state["moments"].items()
        }
        self._optimiser.load_state_dict(whole)


def pair_weight(p: torch.Tensor, own: int, other: int) -> float:
    """What a compared pair's difference is weighed with, so that the step is unbiased.

    The pair comes up with probability p_own·p_other·(1/(1 − p_own) + 1/(1 − p_other)),
    either of the two as the path's value, and its share in the gradient of the
    softmax is p_own·p_other.

    Args:
        p: Probabilities of a choice's values, ``(values,)``.
        own: The path's value.
        other: The value that it is compared with.
    """
    return 1 / float(1 / (1 - p[own]) + 1 / (1 - p[other]))


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise DivergedError(f"a loss or its gradient is {value}")
    return value


def _norm(parts: Sequence[torch.Tensor]) -> float:
    return math.sqrt(sum(float(part.square().sum()) for part in parts))
