"""A search whose children start from their parents' weights, which the run keeps."""

import json


def test_children_find_their_parents(hwnas, sim, tmp_path, monkeypatch):
    monkeypatch.delenv("HWNAS_WEIGHTS", raising=False)
    limit = 0.8 * hwnas("fit", "sim", "--json").json["accuracy"]["networks_ms"]["median"]
    run = tmp_path / "run"
    words = (
        *("search", "--space", "resnet-32", "--device", "sim", "--limit-ms", limit, "--run", run),
        *("--strategy", "evolution", "--estimator", "inherit", "--trials", 3, "--epochs", 1),
        *("--final-epochs", 1, "--no-baselines", "--json"),
    )
    done = hwnas(*words)
    assert done.code == 0, done.err
    events = map(json.loads, (run / "journal.jsonl").read_text().splitlines())
    told = [event["trial"]["provenance"] for event in events if "trial" in event]
    assert len(told) == 3 and told[0]["parent"] is None
    assert all(item["parent"] and 0 < item["share"] <= 1 for item in told[1:])
    stored = [path.stem for path in (run / "weights" / "inherit").glob("*/*.weights")]
    assert {item["parent"] for item in told[1:]} <= set(stored) and len(stored) == len(told)
