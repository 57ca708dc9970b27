"""Probabilities over choices, moved by a rule's gradient and the price of latency."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from hwnas.errors import DivergedError
from hwnas.search.constraint import Floats, LatencyConstraint
from hwnas.search.distribution import Distribution
from hwnas.search.dual import Dual
from hwnas.search.expectation import ExpectedLatency
from hwnas.search.rule import Rule
from hwnas.spaces.space import Genotypes, SearchSpace

BASELINE_DECAY = 0.9
BETAS = (0.9, 0.99)
PATIENCE = 5

Info = dict[str, float]


class Relaxation:
    """Independent probabilities of the choices' values, and the steps that move them.

    A :class:`Rule` trains the shared weights and gives the gradient of the held-out
    loss by the logits. Choices that change shapes (resolution, width) have outputs
    that can neither be gated nor mixed, whatever the rule; they are moved by the score
    function of the held-out loss with a moving baseline (Williams, 1992).

    The objective is E[loss] + λ·(E[bound]/limit − 1) with the expected upper
    bound of the latency (:class:`ExpectedLatency`), λ by :class:`Dual`. Budgets are
    short, so Adam averages gradients and its rate is high (ProxylessNAS: beta1 0 and
    1e-3; DARTS: beta1 0.5 and 3e-4).

    A step whose loss is not finite moves no probability, and the next one draws
    another path; after ``PATIENCE`` such steps in a row the weights are taken for
    lost, and the relaxation ends where it is.

    Args:
        space: Where to search.
        constraint: The limit.
        seed: Seed of everything random here; the shared weights have their own.
        rule: What trains the shared weights and looks at the held-out loss.
        steps: Steps in all.
        rate: Learning rate of the logits.
    """

    def __init__(
        self,
        space: SearchSpace,
        constraint: LatencyConstraint,
        seed: int,
        *,
        rule: Rule,
        steps: int,
        rate: float,
    ) -> None:
        self.space = space
        self.constraint = constraint
        self.model = rule.model
        self.rule = rule
        self.steps = steps
        self.rng = np.random.default_rng(seed)
        self.step = 0
        self.diverged = 0
        self.dual = Dual()
        self.multiplier = 0.0
        self.baseline: float | None = None
        self.distribution = Distribution(space)
        self.logits = self.distribution.logits
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

    def probabilities(self) -> list[Floats]:
        """Probability of each value of each choice."""
        return self.distribution.probabilities()

    def sample(self, rng: np.random.Generator, count: int) -> Genotypes:
        """Canonical genotypes drawn from the probabilities, ``(count, choices)``."""
        return self.distribution.sample(rng, count)

    def advance(self, *, warm: bool, progress: float | None = None) -> Info:
        """One step of the weights and, unless warming up, one of the probabilities.

        Args:
            warm: Train the weights on all values alike, and leave the probabilities.
            progress: How much is done without the warm-up, from 0 to 1, for rules that
                change as they go; the share of the steps where it is not given.

        Returns:
            ``multiplier``; ``diverged``, the steps in a row that did; and, where
            they are had, ``loss``, ``held_out`` and ``expected_ms``.
        """
        info: Info = {}
        done = self.step / self.steps if progress is None else progress
        try:
            info["loss"] = _finite(self.rule.train(self.distribution, self.rng, warm=warm))
            if not warm:
                info |= self._move_probabilities(done)
            self.diverged = 0
        except DivergedError:
            self.diverged += 1
        self.step += 1
        return {**info, "multiplier": self.multiplier, "diverged": float(self.diverged)}

    def _move_probabilities(self, progress: float) -> Info:
        loss, path, gradients = self.rule.slopes(self.distribution, self.rng, progress)
        _finite(loss)
        _finite(_norm(gradients))
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
            self.logits, lambda count: self.distribution.draw(self.rng, count)
        )
        limit_ms = self.constraint.limit_ms
        self.multiplier = self.dual.step(
            expected / limit_ms, _norm(gradients), _norm(slopes) / limit_ms
        )
        for item, gradient, slope_ms in zip(self.logits, gradients, slopes, strict=True):
            item.grad = gradient + self.multiplier * slope_ms / limit_ms
        self._optimiser.step()
        return {"held_out": loss, "expected_ms": expected}

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


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise DivergedError(f"a loss or its gradient is {value}")
    return value


def _norm(parts: Sequence[torch.Tensor]) -> float:
    return math.sqrt(sum(float(part.square().sum()) for part in parts))
