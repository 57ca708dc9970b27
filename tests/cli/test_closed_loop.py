"""Searches under several limits at once, and the loop that holds them to what is measured."""

import json
import shutil

import numpy as np
import pytest

from hwnas.cli import closed_loop
from hwnas.spaces import space
from hwnas.spaces.costs import COSTS, SlotCosts


@pytest.fixture
def twin(sim):
    """The simulated device once more, by the name ``twin``."""
    folder = sim.parent / "twin"
    shutil.copytree(sim, folder)
    device = folder / "device.toml"
    device.write_text(device.read_text().replace('"sim"', '"twin"'))
    return folder


def words(run, limit, *more):
    return (
        *("search", "--space", "resnet-32", "--device", "sim", "--limit-ms", limit, "--run", run),
        *("--epochs", 1, "--final-epochs", 1, "--no-baselines", "--strategy", "random"),
        *("--trials", 3, *more),
    )


def test_two_devices_and_a_number_of_parameters(hwnas, twin, tmp_path):
    limits = [
        hwnas("fit", name, "--json").json["accuracy"]["networks_ms"] for name in ("sim", "twin")
    ]
    first, second = 2 * limits[0]["median"], 0.8 * limits[1]["median"]
    run = tmp_path / "run"
    more = ("--also", f"twin={second}", "--max-parameters", "5e4", "--json")
    done = hwnas(*words(run, first, *more))
    assert done.code == 0, done.err
    best = done.json["best"]
    (other,) = best["elsewhere"]
    assert other["device"] == "twin" and other["limit_ms"] == second
    assert best["feasible"] and other["feasible"]
    assert other["measured_ms"] <= second and best["measured_ms"] <= first
    assert best["parameters"] <= 5e4
    events = [json.loads(line) for line in (run / "journal.jsonl").read_text().splitlines()]
    parameters = SlotCosts(space("resnet-32"), COSTS["parameters"])
    trials = np.array([event["trial"]["genotype"] for event in events if "trial" in event])
    assert len(trials) == 3 and (parameters(trials) <= 5e4).all()
    assert events[0]["limits"] == {"parameters": 5e4, "latency on twin": second}
    measured = [event.get("device") for event in events if "measured" in event]
    assert measured == [None, "twin"]
    # Another set of limits is another search.
    refused = hwnas(*words(run, first, "--resume"))
    assert refused.code == 2 and "differ" in refused.err


def test_a_breach_on_the_second_device_widens_its_bounds(hwnas, twin, tmp_path, monkeypatch):
    limits = [
        hwnas("fit", name, "--json").json["accuracy"]["networks_ms"] for name in ("sim", "twin")
    ]
    real, slow = closed_loop.measured_architectures, []

    def measured(profile, networks):
        found = real(profile, networks)
        if profile.device.name == "twin" and not slow:
            slow.append(1)
            return {name: 1.3 * limits[1]["median"] for name in found}
        return found

    monkeypatch.setattr(closed_loop, "measured_architectures", measured)
    more = ("--also", f"twin={limits[1]['median']}", "--json")
    done = hwnas(*words(tmp_path / "run", limits[0]["max"], *more))
    assert done.code == 0, done.err
    assert "above the limit on twin" in done.err
    events = map(json.loads, (tmp_path / "run/journal.jsonl").read_text().splitlines())
    margins = [event for event in events if "margin" in event]
    assert [event["device"] for event in margins] == ["twin"] and margins[0]["margin"] > 1


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (("--also", "twin"), "such as phone=20"),
        (("--also", "=3"), "such as phone=20"),
        (("--also", "sim=3"), "stands twice in sim, sim"),
        (("--also", "phone=3"), "phone"),
        (("--also", "twin=-3"), "positive"),
        (("--max-parameters", "-1"), "positive number, received -1"),
        (("--max-macs", "1000"), "of 1000 multiply-accumulates"),
        (("--also", "twin=1e-6"), "keeps all limits"),
    ],
)
def test_limits_that_cannot_be_held_are_refused(hwnas, twin, tmp_path, more, says):
    for name in ("sim", "twin"):
        hwnas("fit", name)
    done = hwnas(*words(tmp_path / "run", 1, *more))
    assert done.code == 2 and says in done.err, done.err
    assert not (tmp_path / "run/journal.jsonl").exists()


def test_limits_of_the_space_hold_too(hwnas, sim, tmp_path):
    limit = hwnas("fit", "sim", "--json").json["accuracy"]["networks_ms"]["max"]
    done = hwnas(
        *("search", "--space", "resnet-32:max_parameters=40000", "--device", "sim"),
        *("--limit-ms", limit, "--run", tmp_path / "run", "--epochs", 1, "--final-epochs", 1),
        *("--no-baselines", "--strategy", "local", "--trials", 3, "--json"),
    )
    assert done.code == 0, done.err
    assert done.json["best"]["parameters"] <= 40_000
