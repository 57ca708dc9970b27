"""A study: strategies under one limit, one journal, one archive of trials."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hwnas.errors import InterruptedWork
from hwnas.search.constraint import Genotype, LatencyConstraint, rows
from hwnas.search.journal import Journal
from hwnas.search.pareto import pareto_front
from hwnas.search.strategy import Strategy
from hwnas.spaces.architecture import Architecture
from hwnas.spaces.space import SearchSpace


@dataclass(frozen=True)
class Evaluation:
    """What judging gave: accuracy (NaN if it failed), cost, and how it came about."""

    value: float
    seconds: float
    provenance: dict[str, Any]


@dataclass(frozen=True)
class Trial:
    """One architecture that was judged.

    Args:
        number: Position in the study.
        strategy: Who proposed it.
        genotype: Its genes.
        value: Accuracy, or ``None`` where it failed.
        predicted_ms: Predicted latency.
        low_ms: Lower bound of the latency.
        high_ms: Upper bound.
        seconds: What judging it cost.
        provenance: How the value came about.
    """

    number: int
    strategy: str
    genotype: Genotype
    value: float | None
    predicted_ms: float
    low_ms: float
    high_ms: float
    seconds: float
    provenance: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Trial":
        """What :meth:`to_json` wrote."""
        return cls(**{**value, "genotype": tuple(value["genotype"])})


Evaluate = Callable[[Architecture], Evaluation]
Prefilter = Callable[[Sequence[Architecture]], Sequence[float]]


class Study:
    """Runs strategies and remembers every trial in a journal.

    Args:
        space: Where to search.
        constraint: The limit, shared by all strategies.
        journal: The journal's file.
        header: What else the study is (data, seed …), checked on resuming.
        resume: Go on with a journal that exists.
    """

    def __init__(
        self,
        space: SearchSpace,
        constraint: LatencyConstraint,
        journal: Path,
        *,
        header: dict[str, Any] | None = None,
        resume: bool = False,
    ) -> None:
        self.space = space
        self.constraint = constraint
        own = {
            "space": space.describe(),
            "limit_ms": constraint.limit_ms,
            "quantile": constraint.quantile,
            **(header or {}),
        }
        self.journal = Journal(journal, own, resume=resume)
        self.trials = [
            Trial.from_json(event["trial"]) for event in self.journal.events if "trial" in event
        ]

        for event in self.journal.events:
            constraint.margin = float(event.get("margin", constraint.margin))

    def tighten(self, ratio: float) -> None:
        """Widen all bounds after a measured breach, and remember it for resuming."""
        self.constraint.tighten(ratio)
        self.journal.append({"margin": self.constraint.margin})

    def _generations(self, name: str) -> list[dict[str, Any]]:
        return [
            event["generation"]
            for event in self.journal.events
            if event.get("generation", {}).get("strategy") == name
        ]

    def spent_s(self, name: str) -> float:
        """Seconds that earlier runs gave to a strategy."""
        return sum(
            float(event["spent"]["seconds"])
            for event in self.journal.events
            if event.get("spent", {}).get("strategy") == name
        )

    def run(
        self,
        strategy: Strategy,
        evaluate: Evaluate,
        *,
        budget_s: float | None = None,
        max_trials: int = 1000,
        pool: int = 16,
        keep: int = 4,
        prefilter: Prefilter | None = None,
        on_trial: Callable[[Trial], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Ask, filter, judge, tell, until the budget or the trials are used up.

        Each generation's strategy state and picks are in the journal before it
        is judged, so that a run that is cut off goes on in the middle of it.

        Args:
            strategy: Who proposes.
            evaluate: The judge.
            budget_s: Seconds, over all runs of this study.
            max_trials: Trials of this strategy, over all runs.
            pool: Proposals of a generation.
            keep: How many of them are judged.
            prefilter: Scores of the proposals, higher is better; without it the
                first are kept.
            on_trial: Called after each trial.
            clock: Seconds.

        Raises:
            InterruptedWork: Ctrl-C; the journal holds all trials.
        """
        begin = clock() - self.spent_s(strategy.name)
        try:
            self._run(
                strategy,
                evaluate,
                begin,
                budget_s,
                max_trials,
                pool,
                keep,
                prefilter,
                on_trial,
                clock,
            )
        except KeyboardInterrupt:
            raise InterruptedWork(
                f"interrupted; {len(self.trials)} trials are kept in '{self.journal.path}'. Run "
                "the same command with --resume to go on."
            ) from None

    def _run(
        self,
        strategy: Strategy,
        evaluate: Evaluate,
        begin: float,
        budget_s: float | None,
        max_trials: int,
        pool: int,
        keep: int,
        prefilter: Prefilter | None,
        on_trial: Callable[[Trial], None] | None,
        clock: Callable[[], float],
    ) -> None:
        own = {t.genotype: t for t in self.trials if t.strategy == strategy.name}
        # What another strategy had judged is not judged again.
        known = {t.genotype: t for t in self.trials}
        pending: list[Genotype] = []
        generations = self._generations(strategy.name)
        if generations:
            proposed = {tuple(item) for event in generations for item in event["proposed"]}
            strategy.load_state_dict(generations[-1]["state"], proposed)
            pending = [tuple(item) for item in generations[-1]["picks"]]
        reported = begin + self.spent_s(strategy.name)
        while True:
            for genotype in pending:
                trial = known.get(genotype)
                if trial is None:
                    if len(own) >= max_trials or (
                        budget_s is not None and own and clock() - begin > budget_s
                    ):
                        return
                    trial = self._judge(strategy.name, genotype, evaluate)
                    own[genotype] = known[genotype] = trial
                    now = clock()
                    self.journal.append(
                        {"spent": {"strategy": strategy.name, "seconds": now - reported}}
                    )
                    reported = now
                    if on_trial is not None:
                        on_trial(trial)
                strategy.tell(genotype, float("nan") if trial.value is None else trial.value)
            if len(own) >= max_trials:
                return
            asked = strategy.ask(pool)
            if not asked:
                return
            pending = self._picked(asked, keep, prefilter)
            self.journal.append(
                {
                    "generation": {
                        "strategy": strategy.name,
                        "state": strategy.state_dict(),
                        "proposed": [list(item) for item in asked],
                        "picks": [list(item) for item in pending],
                    }
                }
            )

    def _picked(
        self, asked: list[Genotype], keep: int, prefilter: Prefilter | None
    ) -> list[Genotype]:
        if prefilter is None or len(asked) <= keep:
            return asked[:keep]
        scores = prefilter([self.space.decode(item) for item in asked])
        order = sorted(range(len(asked)), key=lambda i: -scores[i])
        return [asked[i] for i in order[:keep]]

    def _judge(self, name: str, genotype: Genotype, evaluate: Evaluate) -> Trial:
        evaluation = evaluate(self.space.decode(genotype))
        row = rows([genotype])
        low, high = self.constraint.predictor.bounds_ms(row, self.constraint.quantile)
        failed = evaluation.value != evaluation.value
        trial = Trial(
            len(self.trials),
            name,
            genotype,
            None if failed else float(evaluation.value),
            float(self.constraint.predictor.predict_ms(row)[0]),
            float(low[0]),
            float(high[0]) * self.constraint.margin,
            evaluation.seconds,
            evaluation.provenance,
        )
        self.journal.append({"trial": trial.to_json()})
        self.trials.append(trial)
        return trial

    def ranked(self) -> list[Trial]:
        """Trials that succeeded, best first; among equals the faster."""
        good = [trial for trial in self.trials if trial.value is not None]
        return sorted(good, key=lambda trial: (-(trial.value or 0.0), trial.predicted_ms))

    def front(self) -> list[Trial]:
        """Trials that no other beats in latency and accuracy."""
        good = [trial for trial in self.trials if trial.value is not None]
        indices = pareto_front([t.predicted_ms for t in good], [t.value or 0.0 for t in good])
        return [good[i] for i in indices]
