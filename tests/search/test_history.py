import numpy as np
import pytest

from hwnas.errors import RequestError
from hwnas.search import Evaluation, LatencyConstraint, RandomSearch, Study
from hwnas.search.history import History


@pytest.fixture
def run(tmp_path, predictor, constraint):
    """A study of 12 trials, of which one failed; two were measured."""
    folder = tmp_path / "run"
    header = {"device": "sim", "data": "digits", "seed": 0}
    study = Study(predictor.space, constraint, folder / "journal.jsonl", header=header)

    def judge(architecture):
        failed = len(study.trials) == 4
        value = float("nan") if failed else float(np.log(architecture.macs))
        return Evaluation(value, 0.5, {"estimator": "macs"})

    study.run(RandomSearch(predictor.space, constraint, 3), judge, max_trials=12, keep=3)
    study.remember_measured({0: 0.3, 1: 0.36})
    study.remember_measured({0: 7.0}, "phone")
    study.tighten(1.05)
    return study


def test_it_says_what_the_study_knows(run):
    history = History.of(run.journal.path.parent)
    assert list(history.trials) == run.trials and len(history.trials) == 12
    assert history.front() == run.front()
    assert history.measured_ms == {None: {0: 0.3, 1: 0.36}, "phone": {0: 7.0}}
    assert history.breaches == 1 and history.limit_ms == 0.35
    best = history.best()
    assert best.value == max(t.value for t in run.trials if t.value is not None)
    assert history.values(best) == {
        choice.name: choice.values[gene]
        for choice, gene in zip(run.space.choices, best.genotype, strict=True)
    }


def test_a_run_in_progress_can_be_looked_at(run):
    path = run.journal.path
    with path.open("a") as stream:
        stream.write('{"trial": {"numb')
    size = path.stat().st_size
    assert len(History.of(path.parent).trials) == 12
    assert path.stat().st_size == size


def test_what_breaks_the_limit_is_not_the_best(tmp_path, predictor):
    loose = LatencyConstraint(predictor, 1e3)
    study = Study(predictor.space, loose, tmp_path / "journal.jsonl")
    study.run(
        RandomSearch(predictor.space, loose, 0),
        lambda item: Evaluation(float(item.macs), 0.0, {}),
        max_trials=4,
    )
    text = (tmp_path / "journal.jsonl").read_text()
    (tmp_path / "journal.jsonl").write_text(text.replace('"limit_ms":1000.0', '"limit_ms":1e-6'))
    assert History.of(tmp_path).best() is None


def test_folders_without_a_search_are_refused(tmp_path):
    with pytest.raises(RequestError, match="has no journal.jsonl"):
        History.of(tmp_path)
    (tmp_path / "journal.jsonl").write_text('{"schema": 2, "reference": 1}\n')
    with pytest.raises(RequestError, match="no journal of a search"):
        History.of(tmp_path)
