import json

import numpy as np
import pytest

from hwnas.errors import InterruptedWork, RequestError
from hwnas.search import (
    Evaluation,
    Evolution,
    Journal,
    LatencyConstraint,
    RandomSearch,
    Study,
    pareto_front,
)
from hwnas.search.gradient import GradientSearch
from hwnas.search.limits import CostLimit, DeviceLimit
from hwnas.search.proxyless import BinaryGates
from hwnas.search.registry import DISCRETE, FILTERED

STRATEGIES = [own for name, own in DISCRETE.items() if name not in ("compound", "grid")]
"""Those that do not end before 30 trials."""


def judge(architecture):
    return Evaluation(float(np.log(architecture.macs)), 0.1, {"estimator": "macs"})


def run(folder, space, constraint, kind, *, trials=30, evaluate=judge, resume=False):
    study = Study(space, constraint, folder / "journal.jsonl", resume=resume)
    study.run(
        kind(space, constraint, 3),
        evaluate,
        max_trials=trials,
        pool=8,
        keep=3,
        prefilter=(lambda items: [i.parameters for i in items]) if kind.name in FILTERED else None,
    )
    return study


@pytest.mark.parametrize("kind", STRATEGIES)
def test_trials_are_distinct_feasible_and_reproducible(tmp_path, predictor, constraint, kind):
    first = run(tmp_path / "a", predictor.space, constraint, kind)
    second = run(tmp_path / "b", predictor.space, constraint, kind)
    assert [t.genotype for t in first.trials] == [t.genotype for t in second.trials]
    genotypes = np.array([trial.genotype for trial in first.trials])
    assert len(genotypes) == 30 == len(np.unique(genotypes, axis=0))
    assert constraint.feasible(genotypes).all()


@pytest.mark.parametrize("kind", DISCRETE.values())
@pytest.mark.parametrize("stop", [1, 7, 11])
def test_an_interrupted_study_ends_as_an_uninterrupted_one(
    tmp_path, predictor, constraint, kind, stop
):
    whole = run(tmp_path / "whole", predictor.space, constraint, kind)
    count = 0

    def interrupted(architecture):
        nonlocal count
        count += 1
        if count == stop:
            raise KeyboardInterrupt
        return judge(architecture)

    with pytest.raises(InterruptedWork, match=f"{stop - 1} trials are kept"):
        run(tmp_path / "cut", predictor.space, constraint, kind, evaluate=interrupted)
    with (tmp_path / "cut/journal.jsonl").open("a") as stream:
        stream.write('{"trial": {"numb')
    resumed = run(tmp_path / "cut", predictor.space, constraint, kind, resume=True)
    assert [t.genotype for t in resumed.trials] == [t.genotype for t in whole.trials]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_failed_trial_is_kept_without_value(tmp_path, predictor, constraint, value):
    study = run(
        tmp_path,
        predictor.space,
        constraint,
        Evolution,
        trials=5,
        evaluate=lambda item: Evaluation(value, 0.1, {"diverged": True}),
    )
    assert [trial.value for trial in study.trials] == [None] * 5
    assert study.ranked() == [] == study.front()


def test_proposals_without_a_score_are_judged_last(tmp_path, predictor, constraint):
    asked = RandomSearch(predictor.space, constraint, 0).ask(6)
    macs = [predictor.space.decode(item).macs for item in asked]
    study = Study(predictor.space, constraint, tmp_path / "j.jsonl")
    study.run(
        RandomSearch(predictor.space, constraint, 0),
        judge,
        max_trials=3,
        pool=6,
        keep=3,
        prefilter=lambda items: [
            float("nan") if i in (0, 3) else item.macs for i, item in enumerate(items)
        ],
    )
    best = sorted((i for i in range(6) if i not in (0, 3)), key=lambda i: -macs[i])[:3]
    assert [trial.genotype for trial in study.trials] == [asked[i] for i in best]


class Gradient(GradientSearch):
    """With a model whose losses are known, and checkpoints beside the journal if wanted."""

    name = BinaryGates.name
    folder = None

    def __init__(self, space, constraint, seed):
        rule = BinaryGates(self.model(space))
        super().__init__(space, constraint, seed, rule=rule, steps=60, folder=self.folder)


@pytest.mark.parametrize("checkpoints", [False, True])
def test_a_study_of_the_gradient_search_resumes(
    tmp_path, predictor, constraint, path_model, checkpoints
):
    def kind(folder):
        own = folder / "gradient" if checkpoints else None
        return type("Gradient", (Gradient,), {"model": path_model, "folder": own})

    whole = run(tmp_path / "a", predictor.space, constraint, kind(tmp_path / "a"))
    count = 0

    def interrupted(architecture):
        nonlocal count
        count += 1
        if count == 11:
            raise KeyboardInterrupt
        return judge(architecture)

    cut = tmp_path / "b"
    with pytest.raises(InterruptedWork):
        run(cut, predictor.space, constraint, kind(cut), evaluate=interrupted)
    resumed = run(cut, predictor.space, constraint, kind(cut), resume=True)
    assert [t.genotype for t in resumed.trials] == [t.genotype for t in whole.trials]
    states = [e["generation"]["state"] for e in whole.journal.events if "generation" in e]
    assert all(("relaxation" in state) != checkpoints for state in states)


@pytest.mark.parametrize("kind", STRATEGIES)
def test_the_journal_grows_linearly(tmp_path, predictor, constraint, kind):
    study = run(tmp_path, predictor.space, constraint, kind, trials=90)
    generations = [e["generation"] for e in study.journal.events if "generation" in e]
    sizes = [len(json.dumps(item)) for item in generations]
    assert len(sizes) >= 30
    # Populations fill up and empty, but do not grow.
    half = len(sizes) // 2
    assert max(sizes[half:]) < 1.2 * max(sizes[:half])
    proposed = [tuple(item) for event in generations for item in event["proposed"]]
    assert len(proposed) == len(set(proposed)) >= 90
    assert {trial.genotype for trial in study.trials} <= set(proposed)


def test_a_budget_ends_the_study_after_a_trial(tmp_path, predictor, constraint):
    now = iter(range(0, 10_000, 10))
    study = Study(predictor.space, constraint, tmp_path / "j.jsonl")
    study.run(
        RandomSearch(predictor.space, constraint, 0),
        judge,
        budget_s=100,
        keep=2,
        clock=lambda: float(next(now)),
    )
    assert 1 <= len(study.trials) <= 10


def test_a_space_that_is_used_up_ends_the_study(tmp_path, predictor):
    every = predictor.space.sample(np.random.default_rng(0), 4000, over="choices")
    limit = float(np.sort(np.unique(predictor.bounds_ms(every, 0.9)[1]))[5])
    study = run(tmp_path, predictor.space, LatencyConstraint(predictor, limit), Evolution)
    assert 1 <= len(study.trials) < 30


def test_measured_latencies_are_remembered(tmp_path, predictor, constraint):
    study = Study(predictor.space, constraint, tmp_path / "j.jsonl")
    study.remember_measured({3: 1.5, 4: 2.0})
    study.remember_measured({4: 1.75})
    study.remember_measured({4: 20.0}, "phone")
    again = Study(predictor.space, constraint, tmp_path / "j.jsonl", resume=True)
    assert again.measured_on() == study.measured_on() == {3: 1.5, 4: 1.75}
    assert again.measured_on("phone") == study.measured_on("phone") == {4: 20.0}


def test_bounds_of_each_device_are_widened_and_remembered(tmp_path, predictor):
    def fresh():
        phone = LatencyConstraint(predictor, 0.5)
        return LatencyConstraint(predictor, 0.35, others=[DeviceLimit("phone", phone)]), phone

    constraint, phone = fresh()
    study = Study(predictor.space, constraint, tmp_path / "j.jsonl")
    study.tighten(1.25)
    study.tighten(1.5, "phone")
    assert (constraint.margin, phone.margin) == (1.25, 1.5)
    constraint, phone = fresh()
    Study(predictor.space, constraint, tmp_path / "j.jsonl", resume=True)
    assert (constraint.margin, phone.margin) == (1.25, 1.5)
    other = LatencyConstraint(predictor, 0.35, others=[CostLimit(predictor.space, "macs", 1e6)])
    with pytest.raises(RequestError, match="limits differ"):
        Study(predictor.space, other, tmp_path / "j.jsonl", resume=True)


def test_journals_of_others_are_refused(tmp_path):
    path = tmp_path / "j.jsonl"
    Journal(path, {"limit_ms": 1.0}, resume=False).append({"trial": 1})
    with pytest.raises(RequestError, match="--resume"):
        Journal(path, {"limit_ms": 1.0}, resume=False)
    with pytest.raises(RequestError, match="limit_ms differ"):
        Journal(path, {"limit_ms": 2.0}, resume=True)
    assert Journal(path, {"limit_ms": 1.0}, resume=True).events[1:] == [{"trial": 1}]
    lines = path.read_text().splitlines()
    path.write_text("\n".join([json.dumps({"schema": 99}), *lines[1:]]) + "\n")
    with pytest.raises(RequestError, match="schema"):
        Journal(path, {"limit_ms": 1.0}, resume=True)
    with pytest.raises(RequestError, match="a file stands in its place"):
        Journal(path / "inside a file", {}, resume=False)


def test_the_front_holds_what_nothing_beats():
    assert pareto_front([3, 1, 2, 2, 4], [5, 1, 3, 4, 5]) == [1, 3, 0]
    assert pareto_front([1, 2], [float("nan"), 1]) == [1]
