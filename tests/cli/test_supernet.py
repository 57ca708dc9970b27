"""Shared weights as the judge of a scoreboard and of a search."""

import json
import math

import pytest

from hwnas.estimators import Estimate, ScratchEstimator


@pytest.fixture
def short(monkeypatch):
    """Supernets of two epochs for each of the recipe's."""
    monkeypatch.setattr("hwnas.estimators.supernet.EPOCHS_FACTOR", 2)


def lines(path, key):
    events = map(json.loads, path.read_text().splitlines())
    return [event[key] for event in events if key in event]


def test_a_scoreboard_trains_each_supernet_once_and_keeps_it(hwnas, tmp_path, monkeypatch, short):
    def estimate(self, architecture, budget):
        return Estimate(0.1 * math.log(architecture.macs), 0.5, {"estimator": "scratch"})

    monkeypatch.setattr(ScratchEstimator, "estimate", estimate)
    words = (
        *("score", "--space", "micro:image_size=16", "--estimators", "supernet,ofa"),
        *("--epochs", 1, "--run", tmp_path, "--json"),
    )
    first = hwnas(*words, "--n", 8)
    assert first.code == 0, first.err
    assert {"supernet", "ofa"} < {row["estimator"] for row in first.json["scores"]}
    more = hwnas(*words, "--n", 9, "--resume")
    assert more.code == 0, more.err
    for name in ("supernet", "ofa"):
        told = [
            item["provenance"]
            for item in lines(tmp_path / "estimates.jsonl", "estimate")
            if item["estimator"] == name
        ]
        assert [item["trained"] for item in told] == [True] + [False] * 8
        assert len({item["training_seconds"] for item in told}) == 1
        assert (tmp_path / "weights" / name / "supernet.pt").exists()


def test_a_search_is_judged_by_shared_weights(hwnas, sim, tmp_path, monkeypatch):
    monkeypatch.setattr("hwnas.estimators.supernet.EPOCHS_FACTOR", 1)
    limit = 0.8 * hwnas("fit", "sim", "--json").json["accuracy"]["networks_ms"]["median"]
    run = tmp_path / "run"
    done = hwnas(
        *("search", "--space", "resnet-32", "--device", "sim", "--limit-ms", limit, "--run", run),
        *("--strategy", "evolution", "--estimator", "supernet", "--trials", 3, "--epochs", 1),
        *("--final-epochs", 1, "--no-baselines", "--json"),
    )
    assert done.code == 0, done.err
    told = [item["provenance"] for item in lines(run / "journal.jsonl", "trial")]
    assert len(told) == 3
    assert told[0]["trained"] and not any(item["trained"] for item in told[1:])
    assert {item["estimator"] for item in told} == {"supernet"}
