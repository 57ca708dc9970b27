"""The quickstart's job in small, on the simulated device: everything but the clock is real."""

import json

import numpy as np
import onnx
import pytest

from hwnas.runtimes import runtime


@pytest.fixture
def fitted(hwnas, sim):
    return hwnas("fit", "sim", "--json").json["accuracy"]["networks_ms"]


def words(run, limit, *more):
    return (
        "search",
        "--space",
        "resnet-32",
        "--device",
        "sim",
        "--limit-ms",
        limit,
        "--run",
        run,
        "--epochs",
        1,
        "--final-epochs",
        2,
        *more,
    )


def test_the_main_job_from_search_to_bundle(hwnas, fitted, tmp_path):
    limit = 0.7 * fitted["median"]
    run = tmp_path / "run"
    done = hwnas(
        *words(run, limit, "--strategy", "evolution,gradient", "--budget", "12s", "--json")
    )
    assert done.code == 0, done.err
    result = done.json
    best = result["best"]
    assert best["feasible"] and best["measured_ms"] <= limit
    assert best["measured_ms"] == pytest.approx(best["predicted_ms"], rel=0.05)
    assert best["max_abs_error"] <= 1e-4
    assert {row["name"] for row in result["baselines"]} == {"resnet-like", "mobilenetv2-like"}
    strategies = {
        event["trial"]["strategy"]
        for event in map(json.loads, (run / "journal.jsonl").read_text().splitlines())
        if "trial" in event
    }
    assert strategies == {"evolution", "gradient"}
    latencies = [trial["predicted_ms"] for trial in result["front"]]
    assert latencies == sorted(latencies)

    refused = hwnas(*words(run, limit, "--budget", "12s"))
    assert refused.code == 2 and "--resume" in refused.err

    out = tmp_path / "bundle"
    exported = hwnas("export", run, "--out", out, "--json")
    assert exported.code == 0, exported.err
    document = exported.json
    assert document["top1"] == pytest.approx(best["test_accuracy"], abs=0.01)
    assert document["size_bytes"] == (out / "model.onnx").stat().st_size
    model = onnx.load(out / "model.onnx")
    assert b"/hwnas/" not in model.SerializeToString()
    assert {item.key for item in model.metadata_props} >= {"hwnas.version", "hwnas.architecture"}
    shape = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
    logits = runtime("onnxruntime").run(
        model.SerializeToString(), {"input": np.zeros(shape, np.float32)}
    )["output"]
    assert logits.shape == (1, 10)
    broken = (run / "best.onnx").read_bytes()[:-50]
    (run / "best.onnx").write_bytes(broken)
    assert hwnas("export", run, "--out", out).code == 2


def test_the_other_gradient_strategies_keep_the_limit_too(hwnas, fitted, tmp_path):
    limit, run = 0.7 * fitted["median"], tmp_path / "run"
    done = hwnas(
        *words(run, limit, "--strategy", "gdas,darts,darts2", "--budget", "9s"),
        *("--trials", 1, "--json"),
    )
    assert done.code == 0, done.err
    assert done.json["best"]["measured_ms"] <= limit
    for name in ("gdas", "darts", "darts2"):
        assert (run / name / "relaxation.json").exists()
    events = map(json.loads, (run / "journal.jsonl").read_text().splitlines())
    trials = [event["trial"] for event in events if "trial" in event]
    assert {trial["strategy"] for trial in trials} <= {"gdas", "darts", "darts2"}
    assert all(trial["high_ms"] <= limit for trial in trials)


def test_a_search_that_was_interrupted_goes_on(hwnas, fitted, tmp_path, monkeypatch):
    from hwnas.estimators import ScratchEstimator

    limit, run, calls = fitted["median"], tmp_path / "run", []
    real = ScratchEstimator.estimate

    def estimate(self, architecture, budget):
        calls.append(architecture)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(self, architecture, budget)

    monkeypatch.setattr(ScratchEstimator, "estimate", estimate)
    more = ("--strategy", "random", "--trials", 4, "--no-baselines")
    cut = hwnas(*words(run, limit, *more))
    assert cut.code == 1
    assert "2 trials" in cut.err and "--resume" in cut.err
    done = hwnas(*words(run, limit, *more, "--resume", "--json"))
    assert done.code == 0, done.err
    assert done.json["trials"] == 4
    assert len({item.digest for item in calls}) == done.json["trials"]


def test_measured_finalists_are_not_measured_again(hwnas, fitted, tmp_path, monkeypatch):
    from hwnas.cli import closed_loop
    from hwnas.cli.deploy import Deployer

    real, asked = closed_loop.measured_architectures, []

    def measure(profile, networks):
        asked.append(set(networks))
        return real(profile, networks)

    def interrupt(self, candidates):
        raise KeyboardInterrupt

    monkeypatch.setattr(closed_loop, "measured_architectures", measure)
    more = ("--strategy", "random", "--trials", 3, "--no-baselines")
    with monkeypatch.context() as patch:
        patch.setattr(Deployer, "deploy", interrupt)
        assert hwnas(*words(tmp_path / "run", fitted["max"], *more)).code == 1
    done = hwnas(*words(tmp_path / "run", fitted["max"], *more, "--resume", "--json"))
    assert done.code == 0, done.err
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("limit", "more", "says"),
    [
        (1e-6, (), "the lowest that can be promised is"),
        (-1, (), "positive"),
        (1, ("--strategy", "evolutoin"), "did you mean evolution"),
        (1, ("--estimator", "scrach"), "did you mean scratch"),
        (1, ("--data", "nowhere"), "does not exist"),
        (1, ("--budget", "fast"), "such as 90s"),
        (1, ("--quantile", "2"), "quantile"),
        (1, ("--strategy", "random,random"), "each once"),
        (1, ("--estimator", ","), "names with commas"),
        (1, ("--patience", "2", "--estimator", "naswot"), "judge, the last of --estimator"),
        (1, ("--train-macs", "1e9", "--estimator", "inherit"), "judge, the last of --estimator"),
        (1, ("--train-time", "soon"), "such as 90s"),
    ],
)
def test_wrong_requests_are_refused_before_any_work(hwnas, fitted, tmp_path, limit, more, says):
    outcome = hwnas(*words(tmp_path / "run", limit, *more))
    assert outcome.code == 2
    assert says in outcome.err
    assert not (tmp_path / "run/journal.jsonl").exists()


def test_data_that_cannot_be_learned_from_is_refused(hwnas, fitted, tmp_path):
    from PIL import Image

    empty, single = tmp_path / "empty", tmp_path / "single"
    empty.mkdir()
    (single / "only").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(single / "only/a.png")
    for folder in (empty, single):
        outcome = hwnas(*words(tmp_path / "run", 1, "--data", folder))
        assert outcome.code == 2 and folder.name in outcome.err


def test_a_device_that_is_slower_than_promised_ends_with_3(hwnas, fitted, tmp_path, monkeypatch):
    from hwnas.cli.deploy import Deployer

    monkeypatch.setattr(
        "hwnas.cli.closed_loop.measured_architectures",
        lambda profile, networks: dict.fromkeys(networks, 99.0),
    )
    limit = fitted["max"]
    real = Deployer.measure

    def slow(self, models, label):
        from dataclasses import replace

        return {k: replace(v, latency_ms=99.0) for k, v in real(self, models, label).items()}

    monkeypatch.setattr(Deployer, "measure", slow)
    more = ("--strategy", "random", "--trials", 2, "--no-baselines")
    outcome = hwnas(*words(tmp_path / "run", limit, *more))
    assert outcome.code == 3
    assert "bounds are widened" in outcome.err and "no finalist measured within" in outcome.err
