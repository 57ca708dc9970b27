"""Combinations of estimators on synthetic pools whose answer is known."""

import json

import combinations as bench
import numpy as np
import pytest
import score_pool

from hwnas.errors import RequestError
from hwnas.estimators import rank_statistics
from hwnas.estimators.collecting import Record

COUNT = 80


@pytest.fixture
def pool():
    """Accuracy is the sum of two independent things, of which two scores see one each."""
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=COUNT), rng.normal(size=COUNT)
    values = {
        "first": first + rng.normal(0, 0.05, COUNT),
        "second": second + rng.normal(0, 0.05, COUNT),
        "noise": rng.normal(size=COUNT),
        "dear": first + second,
    }
    seconds = {"first": 0.1, "second": 0.2, "noise": 0.01, "dear": 9.0}
    return score_pool.Pool(values, seconds, first + second, 30.0)


def arguments(**changed):
    own = {
        "without": "",
        "stacks": "ridge",
        "goal": 0.8,
        "splits": 6,
        "seed": 0,
        "most": 3,
        "accuracy": None,
        "scores": None,
        "costs": None,
        "train_s": 0.0,
    }
    return type("Given", (), own | changed)()


def test_the_cheapest_pair_that_reaches_the_goal_is_found(pool):
    result = bench.report(pool, arguments())
    assert result["cheapest"]["name"] == "first+second"
    assert result["cheapest"]["seconds"] == pytest.approx(0.3)
    assert result["cheapest"]["low"] < result["cheapest"]["kendall"] < result["cheapest"]["high"]
    # Four single ones, six pairs, four triples: by rank, and as stacks of 8 and of 16.
    assert result["tried"] == 14 * 3
    half = result["split_half"]
    assert half["kendall_on_second_half"] > 0.75 and half["seconds"] < 1
    assert sum(half["chosen"].values()) == half["splits"] == 6
    front = [(row["seconds"], row["kendall"]) for row in result["front"]]
    assert front == sorted(front) and front[-1][1] == pytest.approx(1.0)


def test_choosing_among_noise_is_shown_to_be_worth_nothing():
    whole, halves = [], []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        values = {f"s{number}": rng.normal(size=40) for number in range(6)}
        noise = score_pool.Pool(values, dict.fromkeys(values, 0.1), rng.normal(size=40), 1.0)
        result = bench.report(noise, arguments(splits=4, stacks=""))
        assert result["cheapest"] is None
        whole.append(result["rows"][0]["kendall"])
        halves.append(result["split_half"]["kendall_on_second_half"])
    # The best of 41 looks well on the whole pool, and is nothing on the other half: the mean
    # of eight has a deviation of about 0.05.
    assert np.mean(whole) > 0.1 and abs(np.mean(halves)) < 0.15


def test_a_stack_turns_a_score_round_and_pays_for_what_it_learned_from(pool):
    turned = score_pool.Pool(
        {"down": -pool.values["dear"]}, {"down": 0.5}, pool.truth, pool.train_s
    )
    for kind in ("ridge", "gp"):
        own = bench.Candidate(("down",), kind, 8)
        assert bench.judged(bench.whole_pool(turned, own, 0)) > 0.9
        assert own.cost_s(turned, COUNT) == pytest.approx(0.5 + 8 * 30 / COUNT)
    assert bench.judged(bench.whole_pool(turned, bench.Candidate(("down",)), 0)) < -0.9


@pytest.mark.parametrize("seed", range(3))
def test_kendall_is_that_of_the_scoreboard(seed):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 6, 30) / 6
    scores = np.where(rng.random(30) < 0.2, np.nan, rng.integers(0, 5, 30))
    assert bench.kendall(scores, truth) == pytest.approx(rank_statistics(scores, truth).kendall)
    assert bench.kendall(np.ones(30), truth) == 0
    assert np.isnan(bench.kendall(scores, np.ones(30)))


def test_a_stack_is_judged_on_what_it_did_not_learn_from(pool):
    own = bench.Candidate(("noise",), "ridge", 16)
    rng = np.random.default_rng(0)
    pairs = bench.kendalls(pool, own, np.arange(COUNT), rng, 3)
    assert [len(truth) for _, truth in pairs] == [COUNT - 16] * 3


def test_a_run_folder_is_read_as_far_as_it_is_whole(tmp_path):
    lines = [{"schema": 2}]
    for number in range(30):
        for name in ("macs", "reference:scratch"):
            # One training diverged; the last architecture lacks its reference.
            if (name, number) == ("reference:scratch", 29):
                continue
            value = float("nan") if (name, number) == ("reference:scratch", 5) else 1.0 * number
            own = Record(name, str(number), (number,), value, 2.0, {})
            lines.append({"estimate": own.to_json()})
    text = "".join(json.dumps(line) + "\n" for line in lines) + '{"torn'
    (tmp_path / "estimates.jsonl").write_text(text)
    found = score_pool.read_pool(tmp_path, arguments())
    assert list(found.values) == ["macs"] and len(found.truth) == 28
    assert found.truth.tolist() == found.values["macs"].tolist() and found.train_s == 2.0
    (tmp_path / "estimates.jsonl").write_text("{}\n")
    with pytest.raises(RequestError, match="must have one reference, found none"):
        score_pool.read_pool(tmp_path, arguments())
    (tmp_path / "estimates.jsonl").write_text("{broken\n")
    with pytest.raises(RequestError, match="is not of 'hwnas score --run'"):
        score_pool.read_pool(tmp_path, arguments())


def test_a_table_gets_its_costs_from_the_command(tmp_path, capsys, monkeypatch):
    rng = np.random.default_rng(2)
    truth = rng.random(30)
    rows = [f"{own},{own + 0.01 * rng.normal()},word" for own in truth.tolist()]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["acc,score,text", *rows]) + "\n")
    found = score_pool.read_pool(path, arguments(accuracy="acc", costs="score=0.5", train_s=4.0))
    assert list(found.values) == ["score"] and found.seconds == {"score": 0.5}
    with pytest.raises(RequestError, match="no score here"):
        score_pool.read_pool(path, arguments(accuracy="acc", costs="scor=1"))
    with pytest.raises(RequestError, match="give --accuracy"):
        score_pool.read_pool(path, arguments())
    out = tmp_path / "out.json"
    words = [path, "--accuracy", "acc", "--splits", 3, "--out", out]
    monkeypatch.setattr("sys.argv", ["combinations.py", *map(str, words)])
    bench.main()
    assert "cheapest that reaches 0.8 on the whole pool" in capsys.readouterr().out
    assert json.loads(out.read_text())["cheapest"]["name"] == "score"
