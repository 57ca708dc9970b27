import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

from hwnas.profiles import Device, DeviceProfile

ROOT = Path(__file__).resolve().parents[2]


def script(name, *words):
    command = [sys.executable, str(ROOT / "tools" / name), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=240)


def test_scores_and_latencies_become_columns_of_the_table(idx_images, tmp_path, monkeypatch):
    out = tmp_path / "micro"
    few = ["--first", 2, "--out", out]
    small = ["--data", idx_images, "--train-images", 200, "--validation-images", 100]
    words = ["scores", *few, *small, "--scores", "macs,synflow,naswot"]
    done = script("micro_columns.py", *words)
    assert done.returncode == 0, done.stderr
    lines = (out / "scores.jsonl").read_text().splitlines(keepends=True)
    rows = [json.loads(line) for line in lines[1:]]
    assert [(row["estimator"], row["genotype"]) for row in rows] == [
        (name, genes)
        for genes in ([0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 1])
        for name in ("macs", "synflow", "naswot")
    ]

    # Killed in the middle of a line: what is whole is not computed again.
    (out / "scores.jsonl").write_text("".join(lines[:5]) + lines[5][:30])
    assert script("micro_columns.py", *words).returncode == 0
    again = (out / "scores.jsonl").read_text().splitlines(keepends=True)
    assert again[:5] == lines[:5] and len(again) == len(lines)

    monkeypatch.setenv("HWNAS_PROFILES", str(tmp_path / "profiles"))
    DeviceProfile.create(Device("sim", "simulated"))
    done = script("micro_columns.py", "latency", "sim", *few, "--budget", "4s")
    assert done.returncode == 0, done.stderr
    measured = json.loads((out / "latency-simulated.json").read_text())["latency_ms"]
    assert set(measured) == {"000000", "000001"}

    train = ["train", "--first", 2, "--out", out / "trials.jsonl", *small, "--epochs", 1]
    assert script("micro_table.py", *train).returncode == 0
    assert script("micro_table.py", "compile", "--out", out / "trials.jsonl").returncode == 0
    table = list(csv.DictReader((out / "table.csv").read_text().splitlines()))
    for row in table:
        assert float(row["simulated_ms"]) == measured[row["arch"]][0]
    assert [float(row["synflow"]) for row in table] == [
        pytest.approx(row["value"], rel=1e-5) for row in rows if row["estimator"] == "synflow"
    ]
