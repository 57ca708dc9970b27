"""``hwnas trials`` on a journal."""

import numpy as np
import pytest

from hwnas.search import Evaluation, LatencyConstraint, RandomSearch, Study
from hwnas.spaces import space


class ByMacs:
    """Latency of resnet-32 by its first choices."""

    def predict_ms(self, genotypes):
        return 0.1 + 0.01 * genotypes.sum(axis=1)

    def bounds_ms(self, genotypes, quantile):
        return 0.9 * self.predict_ms(genotypes), 1.1 * self.predict_ms(genotypes)


@pytest.fixture
def run(tmp_path):
    own, folder = space("resnet-32"), tmp_path / "run"
    constraint = LatencyConstraint(ByMacs(), 0.3)
    header = {"device": "sim", "data": "digits"}
    study = Study(own, constraint, folder / "journal.jsonl", header=header)
    study.run(
        RandomSearch(own, constraint, 0),
        lambda item: Evaluation(
            float("nan") if len(study.trials) == 1 else float(np.log(item.macs)), 0.2, {}
        ),
        max_trials=24,
    )
    study.remember_measured({0: 0.25})
    return folder


def test_a_search_is_shown(hwnas, run):
    shown = hwnas("trials", run)
    assert shown.code == 0, shown.err
    assert "24 trials of random in space resnet-32, limit 0.3 ms on sim; 1 failed" in shown.out
    assert (
        "best" in shown.out
        and "front" in shown.out
        and "0.2500" in hwnas("trials", run, "--all").out
    )
    assert "4 more with --all" in shown.err


def test_scripts_get_everything(hwnas, run):
    found = hwnas("trials", run, "--json").json
    assert len(found["trials"]) == 24 and found["breaches"] == 0
    values = {item["number"]: item["value"] for item in found["trials"]}
    assert values[1] is None
    assert values[found["best"]] == max(v for v in values.values() if v is not None)
    assert found["best"] in found["front"]
    assert found["measured_ms"] == {"sim": {"0": 0.25}}
    assert found["trials"][0]["values"]["resolution"] in space("resnet-32").image_sizes


def test_it_goes_to_optunas_dashboard(hwnas, run, tmp_path):
    path = tmp_path / "study.log"
    done = hwnas("trials", run, "--optuna", path, "--json")
    assert done.code == 0 and "24 trials are in" in done.err and path.exists()
    again = hwnas("trials", run, "--optuna", path)
    assert again.code == 2 and "exists" in again.err


def test_other_folders_are_refused(hwnas, tmp_path):
    done = hwnas("trials", tmp_path)
    assert done.code == 2 and "has no journal.jsonl" in done.err
