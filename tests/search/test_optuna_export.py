import sys

import numpy as np
import optuna
import pytest

from hwnas.errors import MissingExtraError, RequestError
from hwnas.search import Evaluation, RandomSearch, Study
from hwnas.search.history import History
from hwnas.search.optuna_export import export_to_optuna


@pytest.fixture
def history(tmp_path, predictor, constraint):
    study = Study(predictor.space, constraint, tmp_path / "journal.jsonl", header={"device": "sim"})

    def judge(architecture):
        value = float("nan") if len(study.trials) == 2 else float(np.log(architecture.macs))
        return Evaluation(value, 0.5, {"estimator": "macs"})

    study.run(RandomSearch(predictor.space, constraint, 3), judge, max_trials=6, keep=3)
    study.remember_measured({0: 0.3})
    return History.of(tmp_path)


def test_optuna_reads_it_back(history, tmp_path):
    path = tmp_path / "study.log"
    assert export_to_optuna(history, path, "mine") == 6
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(path)))
    study = optuna.load_study(study_name="mine", storage=storage)
    assert [own.name for own in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert study.user_attrs["device"] == "sim" and study.user_attrs["limit_ms"] == 0.35
    for own, trial in zip(study.trials, history.trials, strict=True):
        assert own.params == history.values(trial)
        assert own.user_attrs["strategy"] == "random"
        (violation,) = own.system_attrs["constraints"]
        assert violation == pytest.approx(trial.high_ms - 0.35) and violation <= 0
        if trial.number == 2:
            assert own.state.name == "FAIL"
        else:
            assert own.values == [trial.value, trial.predicted_ms]
    assert study.trials[0].user_attrs["measured_ms"] == 0.3
    best = {trial.number for trial in study.best_trials}
    assert best == {trial.number for trial in history.front()}
    assert list(tmp_path.glob("*.part*")) == []


def test_a_file_is_not_overwritten(history, tmp_path):
    path = tmp_path / "study.log"
    path.write_text("mine")
    with pytest.raises(RequestError, match="exists; give a file that does not"):
        export_to_optuna(history, path, "mine")
    assert path.read_text() == "mine"


def test_without_optuna_the_extra_is_named(history, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'hwnas\[optuna\]'"):
        export_to_optuna(history, tmp_path / "study.log", "mine")
