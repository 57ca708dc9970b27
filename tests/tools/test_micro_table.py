import csv
import gzip
import json
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def images(tmp_path):
    """An IDX folder of bright and dark images, ten classes by brightness."""
    folder = tmp_path / "idx"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for part, count in (("train", 400), ("t10k", 50)):
        labels = np.arange(count, dtype=np.uint8) % 10
        pixels = rng.integers(0, 30, (count, 28, 28)) + labels[:, None, None] * 20
        for what, data in (("images-idx3", pixels.astype(np.uint8)), ("labels-idx1", labels)):
            head = struct.pack(f">HBB{data.ndim}I", 0, 8, data.ndim, *data.shape)
            with gzip.open(folder / f"{part}-{what}-ubyte.gz", "wb") as stream:
                stream.write(head + data.tobytes())
    return folder


def script(*words):
    command = [sys.executable, str(ROOT / "tools/micro_table.py"), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=240)


def test_the_table_is_made_goes_on_and_refuses_what_is_of_other_trainings(images, tmp_path):
    out = tmp_path / "trials.jsonl"
    words = ["train", "--data", images, "--out", out, "--first", 2, "--train-images", 200]
    words += ["--validation-images", 100, "--epochs", 1, "--workers", 2]
    done = script(*words)
    assert done.returncode == 0, done.stderr
    header, *rows = map(json.loads, out.read_text().splitlines())
    assert header["recipe"]["epochs"] == 1 and header["space"]["name"] == "micro"
    assert [(tuple(row["genes"]), row["seed"]) for row in rows] == [
        ((0, 0, 0, 0, 0), 0),
        ((0, 0, 0, 0, 0), 1),
        ((0, 0, 0, 0, 1), 0),
        ((0, 0, 0, 0, 1), 1),
    ]
    assert all(0 <= row["validation"] <= 1 and len(row["curve"]) == 1 for row in rows)

    # Cut off in the middle of a line: only what is missing is trained again.
    lines = out.read_text().splitlines(keepends=True)
    out.write_text("".join(lines[:3]) + lines[4][:20])
    again = script(*words)
    assert again.returncode == 0 and "2 of 2 trained" in again.stderr
    assert out.read_text().splitlines(keepends=True) == lines

    other = script(*words, "--validation-images", 90)
    assert other.returncode == 2 and "data, images differ" in other.stderr

    assert script("compile", "--out", out).returncode == 0
    table = list(csv.DictReader(out.with_name("table.csv").read_text().splitlines()))
    assert [row["arch"] for row in table] == ["00000", "00001"]
    mean = (rows[0]["validation"] + rows[1]["validation"]) / 2
    assert float(table[0]["validation"]) == pytest.approx(mean, abs=1e-5)
    assert table[0]["stage2.family"] == "depthwise" and int(table[0]["macs"]) > 0
