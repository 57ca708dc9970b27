import json

import numpy as np
import pytest

from hwnas.errors import InterruptedWork, RequestError, StorageError
from hwnas.search import Evaluation, Evolution, Journal, RandomSearch, Study, pareto_front

STRATEGIES = [RandomSearch, Evolution]


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
        prefilter=lambda items: [item.parameters for item in items],
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


@pytest.mark.parametrize("kind", STRATEGIES)
@pytest.mark.parametrize("stop", [1, 7, 20])
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


def test_a_failed_trial_is_kept_without_value(tmp_path, predictor, constraint):
    study = run(
        tmp_path,
        predictor.space,
        constraint,
        Evolution,
        trials=5,
        evaluate=lambda item: Evaluation(float("nan"), 0.1, {"diverged": True}),
    )
    assert [trial.value for trial in study.trials] == [None] * 5
    assert study.ranked() == [] == study.front()


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
    from hwnas.search import LatencyConstraint

    every = predictor.space.sample(np.random.default_rng(0), 4000, over="choices")
    limit = float(np.sort(np.unique(predictor.bounds_ms(every, 0.9)[1]))[5])
    study = run(tmp_path, predictor.space, LatencyConstraint(predictor, limit), Evolution)
    assert 1 <= len(study.trials) < 30


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
    with pytest.raises(StorageError, match="cannot be written"):
        Journal(path / "inside a file", {}, resume=False)


def test_the_front_holds_what_nothing_beats():
    assert pareto_front([3, 1, 2, 2, 4], [5, 1, 3, 4, 5]) == [1, 3, 0]
    assert pareto_front([1, 2], [float("nan"), 1]) == [1]
