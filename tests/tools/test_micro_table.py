import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def script(*words):
    command = [sys.executable, str(ROOT / "tools/micro_table.py"), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=240)


def without_time(line):
    return {name: value for name, value in json.loads(line).items() if name != "cpu_s"}


def test_the_table_is_made_goes_on_and_refuses_what_is_of_other_trainings(idx_images, tmp_path):
    out = tmp_path / "trials.jsonl"
    words = ["train", "--data", idx_images, "--out", out, "--first", 2, "--train-images", 200]
    words += ["--validation-images", 100, "--epochs", 1, "--workers", 2]
    done = script(*words)
    assert done.returncode == 0, done.stderr
    header, *rows = map(json.loads, out.read_text().splitlines())
    assert header["recipe"]["epochs"] == 1 and header["space"]["name"] == "micro"
    assert [(tuple(row["genes"]), row["seed"]) for row in rows] == [
        ((0, 0, 0, 0, 0, 0), 0),
        ((0, 0, 0, 0, 0, 0), 1),
        ((0, 0, 0, 0, 0, 1), 0),
        ((0, 0, 0, 0, 0, 1), 1),
    ]
    assert all(0 <= row["validation"] <= 1 and len(row["curve"]) == 1 for row in rows)
    assert all(row["cpu_s"] > 0 for row in rows)

    # Cut off in the middle of a line: only what is missing is trained again.
    lines = out.read_text().splitlines(keepends=True)
    out.write_text("".join(lines[:3]) + lines[4][:20])
    again = script(*words)
    assert again.returncode == 0 and "2 of 2 trained" in again.stderr
    assert [without_time(line) for line in out.read_text().splitlines()] == [
        without_time(line) for line in lines
    ]

    other = script(*words, "--validation-images", 90)
    assert other.returncode == 2 and "data, images differ" in other.stderr

    assert script("compile", "--out", out).returncode == 0
    table = list(csv.DictReader(out.with_name("table.csv").read_text().splitlines()))
    assert [row["arch"] for row in table] == ["000000", "000001"]
    mean = (rows[0]["validation"] + rows[1]["validation"]) / 2
    assert float(table[0]["validation"]) == pytest.approx(mean, abs=1e-5)
    assert table[0]["stage2.family"] == "depthwise" and int(table[0]["macs"]) > 0
