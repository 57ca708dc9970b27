"""A study: strategies under one limit, one journal, one archive of trials."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hwnas.errors import InterruptedWork
from hwnas.search.constraint import Genotype, LatencyConstraint, rows
from hwnas.search.journal import Journal
from hwnas.search.limits import DeviceLimit
from hwnas.search.strategy import Strategy
from hwnas.search.trial import Evaluate, Prefilter, Trial, front_of
from hwnas.spaces.space import SearchSpace


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
            **constraint.describe(),
            **(header or {}),
        }
        self.journal = Journal(journal, own, resume=resume)
        # By number, so that a line that stands twice is one trial.
        trials = [Trial.from_json(e["trial"]) for e in self.journal.events if "trial" in e]
        self.trials = list({trial.number: trial for trial in trials}.values())
        self._measured_ms: dict[str | None, dict[int, float]] = {}
        for event in self.journal.events:
            self._remember_margin(event)
            found = {int(k): float(v) for k, v in event.get("measured", {}).items()}
            self.measured_on(event.get("device")).update(found)

    def measured_on(self, device: str | None = None) -> dict[int, float]:
        """Latencies, ms, that a device gave, by the numbers of the trials.

        Args:
            device: The name of a further device; ``None`` for the first.
        """
        return self._measured_ms.setdefault(device, {})

    def remember_measured(self, measured_ms: dict[int, float], device: str | None = None) -> None:
        """Keep the measured latencies of trials, by their numbers, for resuming."""
        event: dict[str, Any] = {"measured": {str(k): v for k, v in measured_ms.items()}}
        self.journal.append(event if device is None else {**event, "device": device})
        self.measured_on(device).update(measured_ms)

    def tighten(self, ratio: float, device: str | None = None) -> None:
        """Widen all bounds after a measured breach, and remember it for resuming.

        Args:
            ratio: What was measured, as a multiple of its bound.
            device: The name of a further device whose limit was broken; the first if ``None``.
        """
        own = self._devices()[device]
        own.tighten(ratio)
        event = {"margin": own.margin}
        self.journal.append(event if device is None else {**event, "device": device})

    def _devices(self) -> dict[str | None, LatencyConstraint]:
        """Latency constraints by the name of the device; the first has none."""
        others = [other for other in self.constraint.others if isinstance(other, DeviceLimit)]
        return {None: self.constraint, **{other.device: other.constraint for other in others}}

    def _remember_margin(self, event: dict[str, Any]) -> None:
        if "margin" in event:
            self._devices()[event.get("device")].margin = float(event["margin"])

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
            pool: Proposals of a generation, where there is a prefilter.
            keep: How many of them are judged; without a prefilter, proposals of a generation.
            prefilter: Scores of the proposals, higher is better and NaN is none.
            on_trial: Called after each trial.
            clock: Seconds.

        Raises:
            InterruptedWork: Ctrl-C; the journal holds all trials.
        """
        name = strategy.name
        start, earlier_s = clock(), self.spent_s(name)
        reported = start
        count = sum(trial.strategy == name for trial in self.trials)
        # What another strategy had judged is not judged again.
        known = {trial.genotype: trial for trial in self.trials}
        with self._kept_when_interrupted():
            pending = self._resumed(strategy)
            while True:
                for genotype in pending:
                    trial = known.get(genotype)
                    if trial is None:
                        spent_s = earlier_s + clock() - start
                        late = budget_s is not None and spent_s > budget_s
                        if count >= max_trials or (late and count):
                            return
                        trial = known[genotype] = self._judge(name, genotype, evaluate)
                        count += 1
                        now = clock()
                        self.journal.append(
                            {"spent": {"strategy": name, "seconds": now - reported}}
                        )
                        reported = now
                        if on_trial is not None:
                            on_trial(trial)
                    strategy.tell(genotype, math.nan if trial.value is None else trial.value)
                if count >= max_trials:
                    return
                # What is not judged is proposed in vain where nothing chooses among proposals.
                asked = strategy.ask(keep if prefilter is None else pool)
                if not asked:
                    return
                pending = self._picked(asked, keep, prefilter)
                self._remember(strategy, asked, pending)

    @contextmanager
    def _kept_when_interrupted(self) -> Iterator[None]:
        try:
            yield
        except KeyboardInterrupt:
            raise InterruptedWork(
                f"interrupted; {len(self.trials)} trials are kept in '{self.journal.path}'. Run "
                "the same command with --resume to go on."
            ) from None

    def _remember(self, strategy: Strategy, asked: list[Genotype], picks: list[Genotype]) -> None:
        """Write a generation: only what is new in it, so that the journal grows linearly."""
        generation = {
            "strategy": strategy.name,
            "state": strategy.state_dict(),
            "proposed": [list(item) for item in asked],
            "picks": [list(item) for item in picks],
        }
        self.journal.append({"generation": generation})

    def _resumed(self, strategy: Strategy) -> list[Genotype]:
        """Bring a strategy to its last generation in the journal; the picks of that one."""
        generations = [
            event["generation"]
            for event in self.journal.events
            if event.get("generation", {}).get("strategy") == strategy.name
        ]
        if not generations:
            return []
        values = {trial.genotype: trial.value for trial in self.trials}
        earlier = [tuple(item) for event in generations[:-1] for item in event["picks"]]
        strategy.recall(
            (item, math.nan if (value := values.get(item)) is None else value) for item in earlier
        )
        proposed = {tuple(item) for event in generations for item in event["proposed"]}
        strategy.load_state_dict(generations[-1]["state"], proposed)
        return [tuple(item) for item in generations[-1]["picks"]]

    def _picked(
        self, asked: list[Genotype], keep: int, prefilter: Prefilter | None
    ) -> list[Genotype]:
        if prefilter is None or len(asked) <= keep:
            return asked[:keep]
        scores = prefilter([self.space.decode(item) for item in asked])
        # What has no score comes last.
        order = sorted(range(len(asked)), key=lambda i: (math.isnan(scores[i]), -scores[i]))
        return [asked[i] for i in order[:keep]]

    def _judge(self, name: str, genotype: Genotype, evaluate: Evaluate) -> Trial:
        evaluation = evaluate(self.space.decode(genotype))
        row = rows([genotype])
        low, high = self.constraint.predictor.bounds_ms(row, self.constraint.quantile)
        failed = not math.isfinite(evaluation.value)
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
        return front_of(self.trials)
