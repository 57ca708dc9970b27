"""``hwnas bench search`` on small tables whose answers are known."""

import csv
import gzip

import numpy as np
import pytest

from hwnas.spaces import space
from hwnas.spaces.cell import OPERATIONS
from hwnas.spaces.nasbench201 import arch_str_of


@pytest.fixture
def digits(tmp_path):
    """A table of 3 × 3 × 4 × 4 architectures: the digits' sum is the accuracy."""
    path = tmp_path / "table.csv"
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["arch", "validation", "test", "cpu_ms"])
        for genes in np.ndindex(3, 3, 4, 4):
            total = sum(genes)
            failed = genes == (0, 0, 0, 0)
            writer.writerow(
                ["".join(map(str, genes)), "" if failed else total, 2 * total, 1 + total]
            )
    return path


def test_strategies_are_compared_with_random_search(hwnas, digits):
    done = hwnas(
        *("bench", "search", "--table", digits, "--accuracy", "validation"),
        *("--strategies", "evolution,local", "--budget", 60, "--seeds", 5, "--json"),
    )
    assert done.code == 0, done.err
    found = done.json
    assert found["optimum"] == 10 and found["feasible"] == 143 and found["limit_ms"] is None
    assert set(found["strategies"]) == {"evolution", "local", "random"}
    for row in found["strategies"].values():
        assert row["regret_mean"] == pytest.approx(10 - row["mean"])
        assert row["regret_low"] <= row["regret_mean"] <= row["regret_high"]
        assert row["queries_mean"] == 60 and 0 <= row["hits_optimum"] <= 5
        marks = [row["regret_at"][mark] for mark in ("10", "20", "50", "60")]
        assert marks == sorted(marks, reverse=True) and marks[-1] == row["regret_mean"]
    assert found["strategies"]["local"]["hits_optimum"] == 5
    again = hwnas(
        *("bench", "search", "--table", digits, "--accuracy", "validation"),
        *("--strategies", "evolution,local", "--budget", 60, "--seeds", 5, "--json"),
    )
    assert again.json["strategies"] == found["strategies"]


def test_a_limit_and_a_judge(hwnas, digits):
    done = hwnas(
        *("bench", "search", "--table", digits, "--accuracy", "validation", "--judge", "test"),
        *("--latency", "cpu_ms", "--limit", 6, "--budget", 150, "--seeds", 3, "--json"),
    )
    assert done.code == 0, done.err
    # Within 6 ms the digits' sum is at most 5, and the judge counts double.
    assert done.json["optimum"] == 10
    rows = done.json["strategies"]
    # Names of its choices say nothing of depth or width.
    assert "compound" not in rows and "'compound' is left out" in done.err
    assert rows["random"]["hits_optimum"] == 3
    assert max(row["queries_mean"] for row in rows.values()) <= 150
    shown = hwnas(
        *("bench", "search", "--table", digits, "--accuracy", "validation"),
        *("--strategies", "random", "--budget", 20, "--seeds", 2),
    )
    assert "optimum 10 of 143" in shown.out and "after 20" in shown.out


def test_latencies_of_another_file_belong_row_by_row(hwnas, digits, tmp_path):
    other = tmp_path / "latencies.csv.gz"
    with gzip.open(other, "wt") as stream:
        stream.write("phone\n" + "\n".join(str(1 + row) for row in range(144)) + "\n")
    words = ("bench", "search", "--table", digits, "--accuracy", "validation", "--budget", 20)
    done = hwnas(
        *(*words, "--seeds", 2, "--strategies", "random", "--latencies", other),
        *("--latency", "phone", "--limit", 50, "--json"),
    )
    assert done.code == 0, done.err
    assert done.json["feasible"] == 49
    with gzip.open(other, "wt") as stream:
        stream.write("phone\n1\n2\n")
    refused = hwnas(*words, "--latencies", other, "--latency", "phone", "--limit", 50)
    assert refused.code == 2 and "row by row" in refused.err
    with gzip.open(other, "wt") as stream:
        stream.write("arch,phone\n" + "".join(f"{row:04d},1\n" for row in range(144)))
    refused = hwnas(*words, "--latencies", other, "--latency", "phone", "--limit", 50)
    assert refused.code == 2 and "columns 'arch' differ" in refused.err


def test_cells_by_their_strings_and_spaces_by_their_names(hwnas, tmp_path):
    rng = np.random.default_rng(0)
    cells = np.unique(rng.integers(len(OPERATIONS), size=(60, 6)), axis=0)
    path = tmp_path / "cells.csv"
    path.write_text(
        "arch_str,accuracy\n"
        + "".join(f"{arch_str_of(cell)},{sum(cell)}\n" for cell in cells.tolist())
    )
    words = ("bench", "search", "--accuracy", "accuracy", "--strategies", "random", "--json")
    done = hwnas(*words, "--table", path, "--budget", 30, "--seeds", 2)
    assert done.code == 0, done.err
    assert done.json["optimum"] == cells.sum(axis=1).max()
    own = space("micro")
    genes = own.sample(rng, 1)[0]
    path.write_text(f"arch,accuracy\n{''.join(map(str, genes))},0.5\n")
    done = hwnas(*words, "--table", path, "--space", "micro", "--seeds", 1)
    assert done.code == 0, done.err


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (("--accuracy", "top1"), "top1"),
        (("--accuracy", "validation", "--latency", "cpu_ms"), "belong together"),
        (("--accuracy", "validation", "--latency", "cpu_ms", "--limit", -1), "positive number"),
        (
            ("--accuracy", "validation", "--latency", "cpu_ms", "--limit", 0.5),
            "the fastest takes 1 ms",
        ),
        (("--accuracy", "validation", "--strategies", "evolutoin"), "did you mean evolution"),
        (("--accuracy", "validation", "--strategies", "gradient"), "trains shared weights"),
        (("--accuracy", "validation", "--space", "micro"), "genes"),
    ],
)
def test_what_cannot_be_searched_is_refused(hwnas, digits, more, says):
    done = hwnas("bench", "search", "--table", digits, "--seeds", 1, "--budget", 3, *more)
    assert done.code == 2 and says in done.err


def test_tables_that_are_none_are_refused(hwnas, tmp_path):
    path = tmp_path / "table.csv"
    words = ("bench", "search", "--table", path, "--accuracy", "a")
    for text, says in (
        ("name,a\nx,1\n", "neither a column 'arch'"),
        ("arch,a\n01,1\n0x,2\n", "line 3, column 'arch'"),
        ("arch,a\n01,1\n01,2\n", "each must stand once"),
        ("arch,a\n01,good\n", "must be a number, or empty"),
        ("arch,a\n01,\n", "no accuracy in any row"),
    ):
        path.write_text(text)
        done = hwnas(*words)
        assert done.code == 2 and says in done.err, done.err
