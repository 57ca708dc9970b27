import json

import numpy as np

from hwnas.predictors import LatencyPredictor
from hwnas.profiles import DeviceProfile
from hwnas.profiling.bags import profiled_bags


def bags_of(name):
    return profiled_bags(DeviceProfile.open(name).read(), "simulated")


def test_a_device_borrows_from_another(hwnas, slow):
    done = hwnas("fit", "slow", "--from", "sim", "--json")
    assert done.code == 0
    result = done.json["accuracy"]
    assert result["borrowed_from"] == "sim" and result["fitted_on"] == 9
    assert np.isclose(result["factor"], 1.8, rtol=0.01)
    assert result["cross_validated_error_pct"] < 2
    # Of 12 networks 3 judge.
    assert result["count"] == 3 and result["mape_pct"] < 2
    assert result["mape_pct"] < result["baselines"]["flops"]["mape_pct"]
    assert LatencyPredictor.load(slow / "predictor.json").call_ms_ > 0
    assert "slow" in hwnas("device", "list").out
    people = hwnas("fit", "slow", "--from", "sim")
    assert people.code == 0 and "borrowed from sim" in people.err
    assert "Accuracy on 3 networks" in people.out


def test_where_too_few_networks_judge_what_they_would_say_is_null(hwnas, slow):
    path = slow / "measurements.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    judged = {item.measurement.key for item in bags_of("slow").networks if item.judged}
    left = [line for line in lines if not any(json.dumps(key)[1:-1] in line for key in judged)]
    path.write_text("".join(left))
    done = hwnas("fit", "slow", "--from", "sim", "--json")
    assert done.code == 0
    result = done.json["accuracy"]
    assert result["fitted_on"] == 9 and result["cross_validated_error_pct"] < 2
    for name in ("count", "mape_pct", "within_5_pct", "within_10_pct", "spearman", "kendall"):
        assert result[name] is None
    # Whether a network was seen by two processes depends on how busy the machine was.
    assert result["baselines"] is None and "noise_floor_pct" in result
    people = hwnas("fit", "slow", "--from", "sim")
    assert people.code == 0 and "borrowed from sim" in people.err and people.out == ""


def test_what_is_not_good_enough_is_not_kept(hwnas, slow):
    done = hwnas("fit", "slow", "--from", "sim", "--max-error-pct", "0.0001", "--json")
    assert done.code == 1 and done.out == ""
    assert "needs about " in done.err
    assert " more networks: hwnas profile slow --space resnet-32 --networks " in done.err
    assert done.err.rstrip().endswith("--resume")
    assert not (slow / "predictor.json").exists()


def test_a_device_that_is_not_there_or_itself(hwnas, slow):
    unknown = hwnas("fit", "slow", "--from", "sin")
    assert unknown.code == 2 and "did you mean sim" in unknown.err
    itself = hwnas("fit", "slow", "--from", "sim,slow")
    assert itself.code == 2 and "cannot borrow from itself" in itself.err


def test_without_another_device_it_is_as_before(hwnas, sim):
    done = hwnas("fit", "sim", "--json")
    assert done.code == 0 and "borrowed_from" not in done.json["accuracy"]
