"""The parts of a search put together: strategies, judges, the closed loop, the deployed winner."""

import json
import math
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hwnas.cli.closed_loop import ClosedLoop, held_devices
from hwnas.cli.common import Bar, progress, say, target_of
from hwnas.cli.deploy import Candidate, Deployer, measured_models
from hwnas.cli.gradient_rules import check_gradient, gradient_rule
from hwnas.cli.references import priced, reference_candidates
from hwnas.cli.run_parts import TrainingLimits, data_for
from hwnas.errors import DivergedError, InterruptedWork, RequestError
from hwnas.estimators import (
    TRAINED,
    ScratchEstimator,
    Setting,
    estimator,
)
from hwnas.estimators.combining import parts_of
from hwnas.estimators.ladder import Ladder
from hwnas.files import make_folder, write_text
from hwnas.search import (
    Evaluation,
    Strategy,
    Study,
    Trial,
)
from hwnas.search.constraint import rows
from hwnas.search.gradient import GradientSearch
from hwnas.search.registry import FILTERED, discrete
from hwnas.search.strategy import check_strategy
from hwnas.spaces import Architecture, SearchSpace, space
from hwnas.spaces.space import Genotypes
from hwnas.training import Recipe

GRADIENT_STEPS = 400
KEEP = 3
"""Trials of a generation."""
MOST_TRIALS = 1000
"""Of one strategy where their number is not given."""
RELAXATION_SHARE = 0.65
"""Share of a gradient search's time for training the shared weights and the choices."""


@dataclass(frozen=True)
class SearchRequest:
    """What ``hwnas search`` was asked for; the fields are its options."""

    space: str
    device: str
    limit_ms: float
    also: tuple[tuple[str, float], ...]
    limits: dict[str, float]
    folder: Path
    strategies: tuple[str, ...]
    estimators: tuple[str, ...]
    data: str
    budget_s: float | None
    trials: int | None
    training: TrainingLimits
    final_epochs: int
    baselines: bool
    quantile: float
    seed: int
    resume: bool
    force: bool


class SearchRun:
    """One search from the request to the measured winner.

    Args:
        request: What is wanted.

    Raises:
        RequestError: A name, limit, data set or folder is wrong.
    """

    def __init__(self, request: SearchRequest) -> None:
        self.request = request
        for name in request.strategies:
            check_strategy(name)
        self.space: SearchSpace = space(request.space)
        check_gradient(request.strategies, self.space)
        self.devices = held_devices(
            self.space,
            (request.device, request.limit_ms),
            request.also,
            request.limits,
            quantile=request.quantile,
            force=request.force,
        )
        first = self.devices[0]
        self.profile, self.predictor, self.constraint = (
            first.profile,
            first.predictor,
            first.constraint,
        )
        self.constraint.require_feasible(self.space, np.random.default_rng(request.seed))
        self.data = data_for(self.space, request.data, request.seed)
        training = request.training
        self.recipe = Recipe(epochs=training.epochs or request.final_epochs, seed=request.seed)
        setting = Setting(
            self.data,
            self.recipe,
            request.seed,
            self.space,
            request.folder / "weights",
            training.stopping(),
            say,
        )
        *rungs, judge = request.estimators
        self.rungs = [[estimator(own, setting) for own in parts_of(name)] for name in rungs]
        self.judge = estimator(judge, setting)
        if self.judge.name != ScratchEstimator.name and (training.macs or training.patience):
            raise RequestError(
                f"--train-macs and --patience are for trials that train from scratch; this "
                f"search's judge, the last of --estimator, is '{self.judge.name}'. Leave them out"
            )
        make_folder(request.folder)
        self.study = Study(
            self.space,
            self.constraint,
            request.folder / "journal.jsonl",
            header={
                "device": request.device,
                "data": request.data,
                "seed": request.seed,
                "strategies": list(request.strategies),
                "estimators": list(request.estimators),
                "epochs": training.epochs,
                **training.header(),
            },
            resume=request.resume,
        )
        self.deployer = Deployer(
            self.profile,
            self.data,
            replace(self.recipe, epochs=request.final_epochs),
            request.folder,
            request.limit_ms,
        )

    def run(self) -> dict[str, Any]:
        """Search, close the loop on the device, train and export the winner.

        Returns:
            What ``hwnas search --json`` prints.

        Raises:
            InterruptedWork: Ctrl-C; trials and checkpoints are kept.
        """
        begin = time.monotonic()
        try:
            loop = ClosedLoop(self.space, self.study, self.devices)
            winner, measured_ms = loop.run(self._strategies)
            references = reference_candidates(self.space) if self.request.baselines else []
            rows_ = self.deployer.deploy(
                [Candidate("winner", self.space.decode(winner.genotype)), *references]
            )
            genotype = rows([winner.genotype])
            further = self._elsewhere(genotype, measured_ms)
        except KeyboardInterrupt:
            raise InterruptedWork(
                f"interrupted; {len(self.study.trials)} trials and all finished trainings are kept "
                f"in '{self.request.folder}'. Run the same command with --resume to go on."
            ) from None
        low, high = self.predictor.bounds_ms(genotype, 0.95)
        best = {
            **rows_[0],
            "architecture": {
                "genotype": list(winner.genotype),
                "values": self.space.values(winner.genotype),
                **self.space.decode(winner.genotype).to_json(),
            },
            "strategy": winner.strategy,
            "predicted_ms": winner.predicted_ms,
            "low_ms": float(low[0]),
            "high_ms": float(high[0]),
            "loop_measured_ms": measured_ms[self.request.device],
        }
        if further:
            best["elsewhere"] = further
            best["feasible"] = best["feasible"] and all(row["feasible"] for row in further)
        result = {
            "run": str(self.request.folder),
            "limit_ms": self.request.limit_ms,
            "device": self.request.device,
            "space": self.request.space,
            "data": self.request.data,
            "seed": self.request.seed,
            "recipe": self.deployer.recipe.to_json(),
            "best": best,
            "baselines": [priced(row, self.space, self.predictor) for row in rows_[1:]],
            "front": [trial.to_json() for trial in self.study.front()],
            "trials": len(self.study.trials),
            "seconds": round(time.monotonic() - begin, 1),
        }
        write_text(self.request.folder / "result.json", json.dumps(result, indent=1) + "\n")
        return result

    def _strategies(self, share: float) -> None:
        """All strategies in turn, with ``share`` times what was asked for."""
        for name in self.request.strategies:
            self._search(name, share)

    def _elsewhere(
        self, genotype: Genotypes, measured_ms: dict[str, float]
    ) -> list[dict[str, Any]]:
        """What the winner takes on the further devices, as deployed there."""
        found = []
        model = (self.request.folder / "best.onnx").read_bytes()
        for held in self.devices[1:]:
            target = target_of(held.profile)
            label = f"measuring the deployed network on {held.name}"
            own = measured_models(held.profile, target, {"winner": model}, label)["winner"]
            low, high = held.predictor.bounds_ms(genotype, 0.95)
            found.append(
                {
                    "device": held.name,
                    "limit_ms": held.constraint.limit_ms,
                    "predicted_ms": float(held.predictor.predict_ms(genotype)[0]),
                    "low_ms": float(low[0]),
                    "high_ms": float(high[0]),
                    "loop_measured_ms": measured_ms[held.name],
                    "measured_ms": own.latency_ms,
                    "feasible": own.latency_ms <= held.constraint.limit_ms,
                }
            )
        return found

    def _search(self, name: str, share: float) -> None:
        """One strategy, with ``share`` times the time and trials that were asked for it."""
        asked, several = self.request, len(self.request.strategies)
        budget_s = None if asked.budget_s is None else share * asked.budget_s / several
        trials = None if asked.trials is None else round(share * asked.trials)
        with progress(f"{name} search") as bar:
            begin = time.monotonic() - self.study.spent_s(name)
            strategy = self._strategy(name, budget_s, bar)

            def on_trial(trial: Trial) -> None:
                best = self.study.ranked()
                accuracy = self._shown(best[0].value or 0.0) if best else "none yet"
                own = sum(item.strategy == name for item in self.study.trials)
                done = max(
                    0.0 if budget_s is None else (time.monotonic() - begin) / budget_s,
                    0.0 if trials is None else own / trials,
                )
                bar.update(
                    min(1.0, done),
                    f"{name} search: {len(self.study.trials)} trials, best {accuracy}",
                )

            ladder = Ladder(self.rungs if name in FILTERED else (), KEEP)
            self.study.run(
                strategy,
                self._judged,
                budget_s=budget_s,
                max_trials=MOST_TRIALS if trials is None else trials,
                pool=ladder.pool,
                keep=KEEP,
                prefilter=ladder if ladder.rungs else None,
                on_trial=on_trial,
            )
            bar.update(1.0)

    def _strategy(self, name: str, budget_s: float | None, bar: Bar) -> Strategy:
        seed = self.request.seed
        own = discrete(name, self.space, self.constraint, seed)
        if own is not None:
            return own

        def on_step(step: int, steps: int, info: dict[str, float]) -> None:
            bar.update(
                RELAXATION_SHARE * step / steps,
                f"{name} search: step {step}/{steps}, λ {info['multiplier']:.2f}",
            )

        return GradientSearch(
            self.space,
            self.constraint,
            seed,
            rule=gradient_rule(name, self.space, self.data, steps=GRADIENT_STEPS, seed=seed),
            steps=GRADIENT_STEPS,
            folder=self.request.folder / name,
            budget_s=None if budget_s is None else RELAXATION_SHARE * budget_s,
            on_step=on_step,
        )

    def _shown(self, value: float) -> str:
        """A trial's value for people: an accuracy in per cent, a score as it is."""
        return f"{100 * value:.1f} %" if self.judge.name in TRAINED else f"{value:.4g}"

    def _judged(self, architecture: Architecture) -> Evaluation:
        begin = time.perf_counter()
        try:
            estimate = self.judge.estimate(architecture, self.request.training.budget())
        except DivergedError as error:
            told = {"estimator": self.judge.name, "diverged": True, "reason": str(error)}
            return Evaluation(math.nan, time.perf_counter() - begin, told)
        return Evaluation(estimate.value, estimate.seconds, estimate.provenance)
