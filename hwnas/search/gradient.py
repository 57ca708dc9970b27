"""Gradient search over sampled paths, held to the limit by a dual multiplier."""

import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from hwnas.errors import StorageError
from hwnas.search.constraint import Genotype, LatencyConstraint, genes, rows
from hwnas.search.dual import Dual
from hwnas.search.expectation import ExpectedLatency
from hwnas.spaces.space import Genotypes, SearchSpace

DRAWN = 4000
BASELINE_DECAY = 0.9
NEAR = 0.95
FULL = 0.98
CHECKPOINT_S = 10.0


class PathModel(Protocol):
    """Shared weights that are trained and probed along one path at a time."""

    global_genes: tuple[int, ...]

    def weight_step(self, genotype: Sequence[int]) -> float:
        """One step of the weights along a path; returns the training loss."""
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


OnStep = Callable[[int, int, dict[str, float]], None]


class GradientSearch:
    """Probabilities over choices, moved by gradients through sampled paths.

    The weights train along one sampled path at a time. Each choice with a gate
    is then moved as in ProxylessNAS (Cai et al., 2019): two of its values, the
    path's and another, are compared by the derivatives of their binary gates,
    and the others keep their probability. Choices that change shapes
    (resolution, width) have no gate and are moved by the score function of the
    held-out loss (Williams, 1992).

    The objective is E[loss] + λ·(E[bound]/limit − 1) with the expected upper
    bound of the latency (:class:`ExpectedLatency`). λ is a dual variable: it
    rises while the bound is violated and falls while it is slack, in units of
    the limit, so that no setting depends on the device.

    Args:
        space: Where to search.
        constraint: The limit.
        seed: Seed of everything random here; the model has its own.
        model: The shared weights.
        steps: Steps in all, warm-up included.
        warmup: Share of the steps in which only weights train, on uniform paths.
        rate: Learning rate of the logits.
        folder: Where checkpoints go, if anywhere.
        budget_s: Seconds after which the relaxation stops where it is.
        on_step: Called after each step.
        clock: Seconds.
    """

    name = "gradient"

    def __init__(
        self,
        space: SearchSpace,
        constraint: LatencyConstraint,
        seed: int,
        *,
        model: PathModel,
        steps: int = 300,
        warmup: float = 0.35,
        rate: float = 0.1,
        folder: Path | None = None,
        budget_s: float | None = None,
        on_step: OnStep | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.space = space
        self.constraint = constraint
        self.model = model
        self.steps = steps
        self.warmup_steps = int(steps * warmup)
        self.folder = folder
        self.budget_s = budget_s
        self.seed = seed
        self.rng = np.random.default_rng(seed)
        self.step = 0
        self.spent_s = 0.0
        self._whole = True
        self.dual = Dual()
        self.multiplier = 0.0
        self.baseline: float | None = None
        self.proposed: set[Genotype] = set()
        self.logits = [
            torch.zeros(len(choice.values), dtype=torch.float64, requires_grad=True)
            for choice in space.choices
        ]
        self._optimiser = torch.optim.Adam(self.logits, lr=rate, betas=(0.9, 0.99))
        self._expected = ExpectedLatency(space, constraint)
        self._on_step = on_step or (lambda step, steps, info: None)
        self._clock = clock

    def probabilities(self) -> list[np.ndarray]:
        """Probability of each value of each choice."""
        return [torch.softmax(item.detach(), 0).numpy() for item in self.logits]

    def sample(self, count: int) -> Genotypes:
        """Canonical genotypes drawn from the probabilities, ``(count, choices)``."""
        return self.space.canonical(self.draw(count))

    def draw(self, count: int) -> Genotypes:
        """Independent draws of every choice, also of those that are switched off."""
        columns = [self.rng.choice(len(p), size=count, p=p / p.sum()) for p in self.probabilities()]
        return np.stack(columns, axis=1).astype(np.int64)

    def relax(self) -> None:
        """Run the relaxation to its end, or until its time is up; resumes a checkpoint."""
        if self.step == 0 and self.folder is not None:
            self._restore()
        begin, saved = self._clock() - self.spent_s, self._clock()
        try:
            while self.step < self.steps:
                self.spent_s = self._clock() - begin
                if self.budget_s is not None and self.step and self.spent_s > self.budget_s:
                    break
                self._advance()
                if self._clock() - saved > CHECKPOINT_S:
                    self.checkpoint()
                    saved = self._clock()
        finally:
            self.spent_s = self._clock() - begin
            # What an interrupt leaves of a step must not be taken for the whole of it.
            if self._whole:
                self.checkpoint()

    def _share(self) -> float:
        """Share of the relaxation that is done, by steps or by time, whichever is further."""
        timed = 0.0 if not self.budget_s else self.spent_s / self.budget_s
        return max(self.step / self.steps, timed)

    def _advance(self) -> None:
        self._whole = False
        warm = self._share() < self.warmup_steps / self.steps
        path = genes(
            self.space.sample(self.rng, 1, over="choices")[0] if warm else self.sample(1)[0]
        )
        info = {"loss": self.model.weight_step(path), "multiplier": self.multiplier}
        if not warm:
            info |= self._move_probabilities()
        self.step += 1
        self._whole = True
        self._on_step(self.step, self.steps, info)

    def _move_probabilities(self) -> dict[str, float]:
        path = genes(self.sample(1)[0])
        alternatives = self._alternatives(path)
        loss, gates = self.model.gate_step(path, alternatives)
        gradients = [torch.zeros_like(item) for item in self.logits]
        pairs = {}
        for gene, (own_gate, other_gate) in gates.items():
            own, other = path[gene], alternatives[gene]
            p = torch.softmax(self.logits[gene].detach(), 0)
            slope = (own_gate - other_gate) / float(1 / (1 - p[own]) + 1 / (1 - p[other]))
            gradients[gene][own] += slope
            gradients[gene][other] -= slope
            pairs[gene] = (own, other)
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

        expected, slopes = self._expected.gradient(self.logits, self.draw)
        limit_ms = self.constraint.limit_ms
        self.multiplier = self.dual.step(
            expected / limit_ms, _norm(gradients), _norm(slopes) / limit_ms
        )
        before = [item.detach().clone() for item in self.logits]
        for item, gradient, slope_ms in zip(self.logits, gradients, slopes, strict=True):
            item.grad = gradient + self.multiplier * slope_ms / limit_ms
        self._optimiser.step()
        if self.multiplier == 0.0:
            self._keep_others(before, pairs)
        return {"held_out": loss, "expected_ms": expected, "multiplier": self.multiplier}

    def _keep_others(self, before: list[torch.Tensor], pairs: dict[int, tuple[int, int]]) -> None:
        """Shift the two values that were compared so that all others keep their probability."""
        with torch.no_grad():
            for gene, pair in pairs.items():
                picked = list(pair)
                shift = torch.logsumexp(before[gene][picked], 0) - torch.logsumexp(
                    self.logits[gene][picked], 0
                )
                self.logits[gene][picked] += shift

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

    def ask(self, count: int) -> list[Genotype]:
        """Feasible finalists by their probability; the first call runs the relaxation."""
        if self.step < self.steps and not self.proposed:
            self.relax()
        probabilities = self.probabilities()
        likeliest = rows([tuple(int(p.argmax()) for p in probabilities)])
        drawn = self.space.canonical(np.concatenate([likeliest, self.sample(DRAWN)]))
        unique = np.unique(drawn, axis=0)
        candidates = unique[self.constraint.feasible(unique)]
        repaired = self.constraint.repair(self.space, genes(drawn[0]))
        found = {genes(row): self._log_probability(row) for row in candidates}
        if repaired is not None:
            found.setdefault(repaired, self._log_probability(rows([repaired])[0]))
        if self.dual.level > 0:
            for likely in sorted(found, key=lambda item: (-found[item], item))[:count]:
                filled = self._fill(likely)
                found.setdefault(filled, self._log_probability(rows([filled])[0]))
        # Where the limit has a price, what leaves part of it unused gives accuracy away.
        least = NEAR * self.constraint.limit_ms if self.dual.level > 0 else 0.0
        upper = (
            dict(zip(found, self.constraint.upper_ms(rows(list(found))), strict=True))
            if found
            else {}
        )
        ranked = sorted(found, key=lambda item: (upper[item] < least, -found[item], item))
        picked = [item for item in ranked if item not in self.proposed][:count]
        self.proposed |= set(picked)
        return picked

    def _fill(self, start: Genotype) -> Genotype:
        """The genotype with its likeliest slower values, until little of the limit is left."""
        own, upper = start, float(self.constraint.upper_ms(rows([start]))[0])
        for _ in range(2 * self.space.length):
            moves = self.space.neighbours(own)
            if upper >= FULL * self.constraint.limit_ms or not moves:
                break
            bounds = self.constraint.upper_ms(rows(moves))
            usable = np.flatnonzero((bounds > upper) & (bounds <= self.constraint.limit_ms))
            if len(usable) == 0:
                break
            pick = max(usable, key=lambda i: self._log_probability(rows([moves[i]])[0]))
            own, upper = moves[pick], float(bounds[pick])
        return own

    def _log_probability(self, row: np.ndarray) -> float:
        active = self.space.active(row[None])[0]
        # Choices that are switched off count as their likeliest value, or deep
        # networks would look improbable for having more choices.
        return float(
            sum(
                math.log(max(p[row[gene]] / p.max(), 1e-300))
                for gene, p in enumerate(self.probabilities())
                if active[gene]
            )
        )

    def tell(self, genotype: Genotype, value: float) -> None:
        """Finalists are judged after the relaxation: nothing is learned from them."""
        self.proposed.add(genotype)

    def state_dict(self) -> dict[str, Any]:
        """All that goes on: logits, moments, multiplier, generator, what was proposed."""
        moments = self._optimiser.state_dict()["state"]
        return {
            "step": self.step,
            "spent_s": self.spent_s,
            "multiplier": self.multiplier,
            "dual": self.dual.state_dict(),
            "baseline": self.baseline,
            "rng": self.rng.bit_generator.state,
            "logits": [item.detach().tolist() for item in self.logits],
            "moments": {
                str(key): {name: value.tolist() for name, value in item.items()}
                for key, item in moments.items()
            },
            "proposed": sorted(list(item) for item in self.proposed),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`state_dict` gave."""
        self.step, self.spent_s = int(state["step"]), float(state["spent_s"])
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
        self.proposed = {tuple(item) for item in state["proposed"]}

    def checkpoint(self) -> None:
        """Write the relaxation's state, if there is a folder.

        Raises:
            StorageError: The disk is full or not writable.
        """
        if self.folder is None:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            weights = f"weights-{self.step}.pt"
            self.model.save(self.folder / weights)
            temporary = self.folder / "relaxation.json.new"
            temporary.write_text(
                json.dumps(
                    {"constraint": self._identity(), "weights": weights, "state": self.state_dict()}
                ),
                encoding="utf-8",
            )
            os.replace(temporary, self.folder / "relaxation.json")
            for old in self.folder.glob("weights-*.pt"):
                if old.name != weights:
                    old.unlink()
        except OSError as error:
            raise StorageError(
                f"'{self.folder}' cannot be written: {error.strerror}; the one before is kept"
            ) from error

    def _identity(self) -> dict[str, Any]:
        return {
            "space": self.space.name,
            "limit_ms": self.constraint.limit_ms,
            "seed": self.seed,
            "steps": self.steps,
        }

    def _restore(self) -> None:
        path = (self.folder or Path()) / "relaxation.json"
        if not path.exists():
            return
        saved = json.loads(path.read_text(encoding="utf-8"))
        if saved["constraint"] == self._identity():
            self.load_state_dict(saved["state"])
            self.model.load(path.parent / saved["weights"])


def _norm(parts: Sequence[torch.Tensor]) -> float:
    return math.sqrt(sum(float(part.square().sum()) for part in parts))
