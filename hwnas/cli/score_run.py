"""The scoreboard on a sample of a space: estimates and trainings, kept as they are made."""

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from hwnas.cli.common import note, progress, say
from hwnas.cli.run_parts import TrainingLimits, data_for, opened, predictor_of
from hwnas.errors import InterruptedWork, RequestError, UnknownNameError, WorkError
from hwnas.estimators import (
    ESTIMATORS,
    AccuracyEstimator,
    Budget,
    Sample,
    Setting,
    estimator,
)
from hwnas.estimators.collecting import Record, Sampled, collect, distinct_sample, pool_values
from hwnas.estimators.combining import Columns, parts_of
from hwnas.estimators.learned import LearnedPredictor
from hwnas.estimators.ranking import Floats, cost_bands
from hwnas.estimators.scoreboard import BASELINE, LEAST, scoreboard, warnings_of
from hwnas.files import make_folder, write_text
from hwnas.search import Journal
from hwnas.spaces import space
from hwnas.training import Recipe

ALWAYS = (BASELINE, "parameters", "one-epoch")
"""What every scoreboard has, asked for or not."""

REFERENCES = ("scratch",)

LEARNED = {
    "learned": ("scratch", "inherit", "one-epoch"),
    "learned-early": ("scratch", "inherit"),
}
"""The learned predictor, and which of the other estimates are not shown to it: trainings of each
architecture, which cost what it is to save. Shared weights are trained once for all."""

REFERENCE_PREFIX = "reference:"
"""Before the reference's name in the journal: ``scratch`` can be an estimator too."""


@dataclass(frozen=True)
class ScoreRequest:
    """What ``hwnas score`` was asked for; the fields are its options."""

    space: str
    data: str
    estimators: tuple[str, ...]
    count: int
    reference: str
    training: TrainingLimits
    device: str | None
    folder: Path | None
    seed: int
    resume: bool


class ScoreRun:
    """One scoreboard from the request to the rows.

    The estimators' own seed is one above that of the reference, so that none of them starts
    from the very weights that the reference was trained from: what is judged is how well
    architectures are ranked. ``scratch`` among the estimators is therefore a second
    training, and its row the most that an estimator can reach.

    Args:
        request: What is wanted.

    Raises:
        RequestError: A name, number, data set or folder is wrong.
    """

    def __init__(self, request: ScoreRequest) -> None:
        self.request = request
        known = [*ESTIMATORS, *LEARNED]
        combinations = {name: parts_of(name) for name in request.estimators}
        for part in (part for parts in combinations.values() for part in parts):
            if part not in known:
                raise UnknownNameError("estimator", part, known)
        if request.reference not in REFERENCES:
            raise UnknownNameError("reference", request.reference, REFERENCES)
        if request.count < LEAST:
            raise RequestError(f"--n must be at least {LEAST}, received {request.count}")
        if request.resume and request.folder is None:
            raise RequestError("--resume needs --run DIR, the folder of the run to go on with")
        self.space = space(request.space)
        self.sample = distinct_sample(self.space, request.count, request.seed)
        self.data = data_for(self.space, request.data, request.seed)
        self.recipe = self._recipe(request.seed)
        # Before anything is trained, since a device can be missing or without a predictor.
        self.latencies_ms = None if request.device is None else self._latencies_ms(request.device)
        self.combined = [name for name, parts in combinations.items() if len(parts) > 1]
        # What a combination needs is there to be seen by itself too, since it is computed.
        wanted = dict.fromkeys((*ALWAYS, *chain.from_iterable(combinations.values())))
        self.learned = [name for name in wanted if name in LEARNED]
        self.judges = self._judges([name for name in wanted if name not in LEARNED])
        self.journal = self._journal()

    def _judges(self, names: Sequence[str]) -> dict[str, tuple[AccuracyEstimator, Budget]]:
        own, limits = self._setting(self.request.seed + 1), self.request.training.budget()
        # One epoch is one epoch, and scores have no budget; the second training has the first's.
        judges = {
            name: (estimator(name, own), limits if name in REFERENCES else Budget())
            for name in names
        }
        reference = estimator(self.request.reference, self._setting(self.request.seed))
        return judges | {REFERENCE_PREFIX + self.request.reference: (reference, limits)}

    def _setting(self, seed: int) -> Setting:
        folder = self.request.folder
        return Setting(
            self.data,
            self._recipe(seed),
            seed,
            self.space,
            None if folder is None else folder / "weights",
            self.request.training.stopping(),
            say,
        )

    def _recipe(self, seed: int) -> Recipe:
        epochs = self.request.training.epochs
        return Recipe(seed=seed) if epochs is None else Recipe(epochs=epochs, seed=seed)

    def _journal(self) -> Journal | None:
        folder = self.request.folder
        if folder is None:
            note("without --run DIR nothing is kept of what is computed here")
            return None
        make_folder(folder)
        # Neither the number of architectures nor the estimators: a run can be given more of both.
        header = {
            "scoreboard": self.request.reference,
            "space": self.space.describe(),
            "images": self.data.digest,
            "recipe": self.recipe.to_json(),
            "seed": self.request.seed,
            **self.request.training.header(),
        }
        return Journal(
            folder / "estimates.jsonl", header, resume=self.request.resume, what="scoreboard"
        )

    def _latencies_ms(self, device: str) -> Floats:
        predictor = predictor_of(opened(device), self.space)
        genotypes = np.array([item.genotype for item in self.sample], dtype=np.int64)
        return predictor.predict_ms(genotypes)

    def run(self) -> dict[str, Any]:
        """Estimate, train, compare.

        Returns:
            What ``hwnas score --json`` prints.

        Raises:
            InterruptedWork: Ctrl-C; finished estimates are kept.
            WorkError: Too few trainings gave an accuracy.
        """
        begin = time.monotonic()
        try:
            records = self._collected()
        except KeyboardInterrupt:
            raise InterruptedWork(self._kept()) from None
        values = {name: np.array(pool_values(name, own)) for name, own in records.items()}
        seconds = {name: _mean([r.seconds for r in own]) for name, own in records.items()}
        reference = REFERENCE_PREFIX + self.request.reference
        truth, reference_s = values.pop(reference), seconds.pop(reference)
        judged = np.flatnonzero(np.isfinite(truth))
        if len(judged) < LEAST:
            raise WorkError(
                f"only {len(judged)} of {len(truth)} trainings gave an accuracy, the others "
                f"diverged; {LEAST} are needed. Give a larger --n."
            )
        costs = values[BASELINE] if self.latencies_ms is None else self.latencies_ms
        columns = Columns({name: own[judged] for name, own in values.items()}, seconds)
        predictors = self._learn(columns, [self.sample[i] for i in judged], truth[judged])
        for name in self.combined:
            columns.combine(name)
        rows = scoreboard(
            columns.values,
            truth[judged],
            seconds=columns.seconds,
            bands=cost_bands(costs[judged]),
            seed=self.request.seed,
        )
        said = warnings_of(rows) + _failures(records)
        said += [f"{name}: {own.verdict_}" for name, own in predictors.items() if not own.trusted]
        result = {
            "n": len(judged),
            "reference": self.request.reference,
            "scores": [row.to_json() for row in rows],
            "asked": len(truth),
            "diverged": len(truth) - len(judged),
            "of": self.request.space,
            "data": self.request.data,
            "seed": self.request.seed,
            "recipe": self.recipe.to_json(),
            **self.request.training.header(),
            "band": "MACs" if self.latencies_ms is None else "latency",
            "best": float(truth[judged].max()),
            "worst": float(truth[judged].min()),
            "reference_seconds_per_architecture": reference_s,
            "learned": {name: own.verdict_ for name, own in predictors.items()},
            "warnings": said,
            "seconds": round(time.monotonic() - begin, 1),
        }
        if self.request.folder is not None:
            write_text(self.request.folder / "scores.json", _text(result))
        return result

    def _collected(self) -> dict[str, list[Record]]:
        events = [] if self.journal is None else self.journal.events
        try:
            known = [Record.from_json(item["estimate"]) for item in events if "estimate" in item]
        except (KeyError, TypeError, ValueError) as error:
            raise RequestError(
                f"'{self.request.folder}' holds a broken estimate ({error}); "
                "give another --run folder"
            ) from error
        with progress(f"{len(self.sample)} architectures") as bar:

            def on_step(done: int, total: int) -> None:
                bar.update(done / total, f"{done} of {total} estimates")

            return collect(
                self.sample, self.judges, known=known, remember=self._remember, on_step=on_step
            )

    def _remember(self, record: Record) -> None:
        if self.journal is not None:
            self.journal.append({"estimate": record.to_json()})

    def _kept(self) -> str:
        if self.journal is None:
            return "interrupted; nothing is kept without --run DIR"
        count = sum("estimate" in event for event in self.journal.events)
        return (
            f"interrupted; {count} estimates are kept in '{self.journal.path}'. Run the same "
            "command with --resume to go on."
        )

    def _learn(
        self, columns: Columns, sample: Sequence[Sampled], truth: Floats
    ) -> dict[str, LearnedPredictor]:
        """Add the learned predictors' columns, each architecture by folds without it."""
        predictors: dict[str, LearnedPredictor] = {}
        made = dict(columns.values)
        for name in self.learned:
            shown = {key: own for key, own in made.items() if key not in LEARNED[name]}
            samples = [
                Sample(item.architecture, {key: float(own[i]) for key, own in shown.items()})
                for i, item in enumerate(sample)
            ]
            begin = time.perf_counter()
            predictor = LearnedPredictor(seed=self.request.seed).fit(samples, truth)
            spent = time.perf_counter() - begin
            columns.add(name, predictor.out_of_fold_, shown, spent / len(sample))
            predictors[name] = predictor
        return predictors


def _failures(records: Mapping[str, Sequence[Record]]) -> list[str]:
    """What must be said of estimators that failed on some architectures, a line each."""
    found = []
    for name, own in records.items():
        reasons = [str(item.provenance["reason"]) for item in own if "reason" in item.provenance]
        if reasons:
            label = name.removeprefix(REFERENCE_PREFIX)
            found.append(
                f"{label}: no value for {len(reasons)} of {len(own)} architectures; the first "
                f"because {reasons[0]}"
            )
    return found


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else math.nan


def _text(result: Mapping[str, Any]) -> str:
    from hwnas.cli.common import finite

    return json.dumps(finite(dict(result)), indent=1, ensure_ascii=False) + "\n"
