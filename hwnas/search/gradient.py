"""Gradient search: a relaxation of the choices, then finalists by their probability."""

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hwnas.search.checkpoint import Checkpoint
from hwnas.search.constraint import Floats, Genotype, LatencyConstraint, genes, rows
from hwnas.search.relaxation import Info, Relaxation
from hwnas.search.rule import Rule
from hwnas.spaces.space import Genotypes, SearchSpace

DRAWN = 4000
NEAR = 0.95
FULL = 0.98
CHECKPOINT_S = 10.0

OnStep = Callable[[int, int, Info], None]


class GradientSearch:
    """Relaxes the choices to probabilities (:class:`Relaxation`) and proposes the likeliest.

    Finalists are feasible draws, the likeliest genotype repaired, and likely ones
    whose left-over latency is filled with their likeliest slower values; where the
    limit has a price, those that leave much of it unused come last.

    Args:
        space: Where to search.
        constraint: The limit.
        seed: Seed of everything random here; the shared weights have their own.
        rule: Holds the shared weights, moves the probabilities, names the strategy:
            ``BinaryGates`` (ProxylessNAS), ``GumbelSoftmax`` (GDAS) or
            ``ContinuousRelaxation`` (DARTS).
        steps: Steps in all, warm-up included.
        warmup: Share of the steps in which only weights train, all values alike.
        rate: Learning rate of the logits.
        folder: Where checkpoints go, if anywhere.
        budget_s: Seconds after which the relaxation stops where it is.
        on_step: Called after each step with its number, the steps in all, and what
            :meth:`Relaxation.advance` returned.
        clock: Seconds.
    """

    def __init__(
        self,
        space: SearchSpace,
        constraint: LatencyConstraint,
        seed: int,
        *,
        rule: Rule,
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
        self.name = rule.name
        self.relaxation = Relaxation(space, constraint, seed, rule=rule, steps=steps, rate=rate)
        self.warmup = warmup
        self.budget_s = budget_s
        self.rng = np.random.default_rng((seed, 1))
        self.relaxed = False
        self.spent_s = 0.0
        self.proposed: set[Genotype] = set()
        self._on_step = on_step or (lambda step, steps, info: None)
        self._clock = clock
        # The margin is not part of it: what measuring finds may widen it later.
        described = space.describe()
        identity = {
            "strategy": rule.name,
            "space": described.pop("name"),
            **described,
            "limit_ms": constraint.limit_ms,
            "quantile": constraint.quantile,
            "seed": seed,
            "steps": steps,
            "warmup": warmup,
            "rate": rate,
        }
        self._checkpoint = None if folder is None else Checkpoint(folder, identity)

    def relax(self) -> None:
        """Run the relaxation to its end, or until its time is up; resumes a checkpoint.

        Raises:
            RequestError: The checkpoint in the folder belongs to another search.
            StorageError: A checkpoint cannot be read or written.
        """
        own = self.relaxation
        if own.step == 0:
            self._restore()
        begin, saved = self._clock() - self.spent_s, self._clock()
        whole = True
        try:
            while not own.done:
                self.spent_s = self._clock() - begin
                if self.budget_s is not None and own.step and self.spent_s > self.budget_s:
                    break
                whole = False
                share = self._share()
                moved = max(0.0, share - self.warmup) / max(1.0 - self.warmup, 1e-9)
                info = own.advance(warm=share < self.warmup, progress=min(1.0, moved))
                whole = True
                self._on_step(own.step, own.steps, info)
                if self._clock() - saved > CHECKPOINT_S:
                    self._save()
                    saved = self._clock()
        finally:
            self.spent_s = self._clock() - begin
            # What an interrupt leaves of a step must not be taken for the whole of it.
            if whole:
                self._save()
        self.relaxed = True

    def _share(self) -> float:
        """Share of the relaxation that is done, by steps or by time, whichever is further."""
        timed = 0.0 if not self.budget_s else self.spent_s / self.budget_s
        return max(self.relaxation.step / self.relaxation.steps, timed)

    def ask(self, count: int) -> list[Genotype]:
        """Feasible finalists by their probability; the first call runs the relaxation."""
        if not self.relaxed:
            self.relax()
        likeliest = rows([tuple(int(p.argmax()) for p in self.relaxation.probabilities())])
        drawn = self.space.canonical(
            np.concatenate([likeliest, self.relaxation.sample(self.rng, DRAWN)])
        )
        unique = np.unique(drawn, axis=0)
        found = {genes(row) for row in unique[self.constraint.feasible(unique)]}
        repaired = self.constraint.repair(self.space, genes(drawn[0]))
        if repaired is not None:
            found.add(repaired)
        if not found:
            return []
        priced = self.relaxation.dual.level > 0
        if priced:
            found |= {self._fill(item) for item in self._by_probability(found)[:count]}
        likely = self._by_probability(found)
        # Where the limit has a price, what leaves part of it unused gives accuracy away.
        least = NEAR * self.constraint.limit_ms if priced else 0.0
        slack = self.constraint.upper_ms(rows(likely)) < least
        ranked = [likely[i] for i in np.argsort(slack, kind="stable")]
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
            pick = usable[self._log_probability(rows(moves)[usable]).argmax()]
            own, upper = moves[pick], float(bounds[pick])
        return own

    def _by_probability(self, genotypes: Iterable[Genotype]) -> list[Genotype]:
        ordered = sorted(genotypes)
        likely = self._log_probability(rows(ordered))
        return [ordered[i] for i in np.argsort(-likely, kind="stable")]

    def _log_probability(self, genotypes: Genotypes) -> Floats:
        # Choices that are switched off count as their likeliest value, or deep
        # networks would look improbable for having more choices.
        logs = [
            np.log(np.maximum(p / p.max(), 1e-300))[genotypes[:, gene]]
            for gene, p in enumerate(self.relaxation.probabilities())
        ]
        total: Floats = np.where(self.space.active(genotypes), np.stack(logs, axis=1), 0.0).sum(1)
        return total

    def tell(self, genotype: Genotype, value: float) -> None:
        """Finalists are judged after the relaxation: nothing is learned from them."""
        self.proposed.add(genotype)

    def _relaxation_state(self) -> dict[str, Any]:
        return {"spent_s": self.spent_s, "relaxation": self.relaxation.state_dict()}

    def _load_relaxation(self, state: Mapping[str, Any]) -> None:
        self.spent_s = float(state["spent_s"])
        self.relaxation.load_state_dict(state["relaxation"])

    def _save(self) -> None:
        if self._checkpoint is not None:
            self._checkpoint.write(
                self._relaxation_state(), self.relaxation.step, self.relaxation.model.save
            )

    def _restore(self) -> bool:
        if self._checkpoint is None or not self._checkpoint.exists():
            return False

        def load(state: dict[str, Any], weights: Path) -> None:
            self._load_relaxation(state)
            self.relaxation.model.load(weights)

        self._checkpoint.read(load)
        return True

    def state_dict(self) -> dict[str, Any]:
        """The generator of the finalists; the relaxation too where no checkpoint holds it."""
        state = {"rng": self.rng.bit_generator.state, "relaxed": self.relaxed}
        return state if self._checkpoint is not None else {**state, **self._relaxation_state()}

    def recall(self, told: Iterable[tuple[Genotype, float]]) -> None:
        """Nothing is learned from trials."""

    def load_state_dict(self, state: dict[str, Any], proposed: Iterable[Genotype]) -> None:
        """Go on from what :meth:`state_dict` gave; a relaxation that is lost is run anew.

        Raises:
            RequestError: The checkpoint in the folder belongs to another search.
            StorageError: It cannot be read.
        """
        self.rng.bit_generator.state = state["rng"]
        self.proposed = set(proposed)
        if "relaxation" in state:
            self._load_relaxation(state)
            self.relaxed = bool(state["relaxed"])
        else:
            self.relaxed = self._restore() and bool(state["relaxed"])
