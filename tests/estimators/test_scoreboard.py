import json
import math

import numpy as np
import pytest

from hwnas.errors import SpecError
from hwnas.estimators import scoreboard
from hwnas.estimators.ranking import cost_bands
from hwnas.estimators.scoreboard import warnings_of


@pytest.fixture
def columns():
    """Forty accuracies; MACs that follow them roughly, a good score, a bad one, a broken one."""
    rng = np.random.default_rng(0)
    truth = rng.random(40)
    return truth, {
        "good": truth + rng.normal(0, 0.02, 40),
        "macs": truth + rng.normal(0, 0.4, 40),
        "bad": rng.random(40),
        "broken": np.where(np.arange(40) < 3, math.nan, 1.0),
    }


def test_rows_are_ordered_and_compared_with_macs(columns):
    truth, values = columns
    rows = scoreboard(values, truth, bands=cost_bands(values["macs"]), seconds={"macs": 0.5})
    assert [row.estimator for row in rows][:2] == ["good", "macs"]
    by_name = {row.estimator: row for row in rows}
    good, macs, bad, broken = (by_name[name] for name in ("good", "macs", "bad", "broken"))
    assert good.beats_macs and not good.undecided
    assert good.over_macs == pytest.approx(good.statistics.kendall - macs.statistics.kendall)
    assert good.over_macs_interval[0] > 0
    assert bad.beats_macs is False
    assert macs.beats_macs is None and math.isnan(macs.over_macs)
    assert broken.missing == 3 and good.missing == 0
    assert macs.seconds == 0.5 and math.isnan(good.seconds)
    said = warnings_of(rows)
    assert len(said) == 1
    assert "no better than counting MACs" in said[0]
    assert "bad (" in said[0] and "broken (" in said[0] and "good" not in said[0]


def test_the_fields_that_scripts_read(columns):
    truth, values = columns
    (row, *_) = scoreboard(values, truth)
    written = row.to_json()
    assert {
        "estimator",
        "kendall",
        "spearman",
        "top_decile_kendall",
        "regret",
        "seconds_per_architecture",
        "low",
        "high",
    } <= set(written)
    assert written["low"] < written["kendall"] < written["high"]
    assert written["intervals"]["kendall"] == [written["low"], written["high"]]
    assert json.loads(json.dumps(written))["estimator"] == "good"


def test_a_copy_of_macs_does_not_beat_macs(columns):
    truth, values = columns
    rows = scoreboard({"macs": values["macs"], "copy": 3 * values["macs"] + 1}, truth)
    copy = next(row for row in rows if row.estimator == "copy")
    assert copy.over_macs == 0 and copy.beats_macs is False
    assert copy.over_macs_interval == (0, 0)
    assert "copy" in warnings_of(rows)[0]


def test_what_may_be_chance_is_said_to_be(columns):
    truth, values = columns
    # As noisy as MACs, by another draw that happens to be a little nearer.
    for seed in range(20):
        noise = np.random.default_rng(seed).normal(0, 0.4, 40)
        rows = scoreboard({"macs": values["macs"], "alike": truth + noise}, truth)
        alike = next(row for row in rows if row.estimator == "alike")
        if alike.beats_macs and alike.undecided:
            break
    assert alike.beats_macs and alike.undecided
    (said,) = warnings_of(rows)
    assert said.startswith("above MACs, but so little") and "alike (+" in said


def test_without_macs_nothing_is_said_of_them(columns):
    truth, values = columns
    rows = scoreboard({"bad": values["bad"]}, truth)
    assert rows[0].beats_macs is None and warnings_of(rows) == []


def test_the_same_seed_gives_the_same_rows_and_progress_is_told(columns):
    truth, values = columns
    steps = []
    first = scoreboard(values, truth, seed=3, on_row=steps.append)
    assert steps == [1, 2, 3, 4]
    again = scoreboard(dict(reversed(values.items())), truth, seed=3)
    assert {r.estimator: r.intervals["kendall"] for r in first} == {
        r.estimator: r.intervals["kendall"] for r in again
    }


def test_seven_architectures_are_too_few():
    with pytest.raises(SpecError, match="at least 8 architectures with an accuracy; received 7"):
        scoreboard({"macs": np.arange(7)}, np.arange(7))


def test_an_accuracy_that_is_the_same_everywhere_ranks_nothing():
    rows = scoreboard({"macs": np.arange(9), "other": np.arange(9)}, np.full(9, 0.5))
    assert all(math.isnan(row.statistics.kendall) for row in rows)
    assert all(row.beats_macs is None for row in rows) and warnings_of(rows) == []
