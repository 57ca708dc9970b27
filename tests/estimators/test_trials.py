import math

import pytest

from hwnas.errors import RequestError
from hwnas.estimators import LearnedPredictor, read_trials
from hwnas.search import Journal, Trial
from hwnas.spaces import space

MICRO = space("micro")


def trial(number, value=0.5, estimator="scratch", curve=(0.3, 0.5)):
    genotype = (0, number % 2, 0, number % 3, number % 4, (number // 2) % 3)
    provenance = {"estimator": estimator, "curve": list(curve)}
    return Trial(number, "random", genotype, value, 1.0, 0.9, 1.1, 2.0, provenance)


@pytest.fixture
def journal(tmp_path):
    def write(*trials, own=MICRO):
        path = tmp_path / "journal.jsonl"
        log = Journal(path, {"space": own.describe(), "limit_ms": 1.0}, resume=False)
        log.append({"generation": {"strategy": "random"}})
        for item in trials:
            log.append({"trial": item.to_json()})
        return path

    return write


def test_trials_become_samples_with_their_curves(journal):
    path = journal(trial(0), trial(1, None), trial(0, 0.75))
    with path.open("a") as file:
        file.write('{"trial": {"num')
    samples, accuracies = read_trials(path, MICRO)
    assert [item.architecture for item in samples] == [
        MICRO.decode(trial(number).genotype) for number in (0, 1)
    ]
    assert samples[0].curve == (0.3, 0.5)
    assert accuracies[0] == 0.75 and math.isnan(accuracies[1])


def test_a_predictor_is_fitted_on_a_journal(journal):
    path = journal(*(trial(number, 0.5 + 0.01 * number) for number in range(12)))
    predictor = LearnedPredictor(models=("trees",)).fit(*read_trials(path, MICRO))
    assert predictor.trials_ == 12


def test_journals_of_other_spaces_or_judges_are_refused(journal, tmp_path):
    with pytest.raises(RequestError, match="no journal of a search in space 'micro'"):
        read_trials(journal(trial(0), own=space("micro:classes=3")), MICRO)
    (tmp_path / "journal.jsonl").unlink()
    with pytest.raises(RequestError, match="different estimators .naswot, scratch."):
        read_trials(journal(trial(0), trial(1, estimator="naswot")), MICRO)


@pytest.mark.parametrize("content", [b"", b"torn", b"[1]\n", b"no json\n", b'{"a": 1}\n'])
def test_files_that_are_no_journals_are_refused(tmp_path, content):
    path = tmp_path / "journal.jsonl"
    path.write_bytes(content)
    with pytest.raises(RequestError, match="no journal of a search"):
        read_trials(path, MICRO)


def test_a_missing_journal_is_said(tmp_path):
    with pytest.raises(RequestError, match="there is no journal"):
        read_trials(tmp_path / "none.jsonl", MICRO)
