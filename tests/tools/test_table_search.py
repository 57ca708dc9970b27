import csv
import gzip
import json

import numpy as np
import pytest
import table_search
from table_search import Cell

from hwnas.spaces.cell import OPERATIONS


@pytest.fixture
def folder(tmp_path):
    """Some cells of NAS-Bench-201 with accuracies and latencies that are drawn."""
    rng = np.random.default_rng(0)
    cells = np.unique(rng.integers(len(OPERATIONS), size=(120, 6)), axis=0)
    texts = [
        "|{}~0|+|{}~0|{}~1|+|{}~0|{}~1|{}~2|".format(*(OPERATIONS[g] for g in cell))
        for cell in cells
    ]
    columns = {
        "nb201_accuracy.csv.gz": table_search.ACCURACIES.values(),
        "nb201_latency_ms.csv.gz": table_search.DEVICES,
    }
    for name, own in columns.items():
        with gzip.open(tmp_path / name, "wt", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(["arch_str", *own])
            for text in texts:
                writer.writerow([text, *rng.uniform(1, 60, len(own)).round(3)])
    return tmp_path


def test_a_row_is_judged_within_its_limit(folder, monkeypatch):
    monkeypatch.setattr(table_search, "SEEDS", 2)
    monkeypatch.setattr(table_search, "BUDGET", 30)
    own = table_search.row((folder, Cell("CIFAR-100", "eyeriss", 20, "random")))
    whole = table_search.row((folder, Cell("CIFAR-100", "", 0, "random")))
    assert own["feasible"] < 0.25 * whole["feasible"] and own["optimum"] <= whole["optimum"]
    assert own["mean"] <= own["optimum"] and list(own["regret_at"]) == ["25", "30"]
    # Fewer are feasible than queries.
    assert own["regret_mean"] == 0 and whole["limit_ms"] is None


def test_what_is_finished_is_kept_but_no_torn_line(tmp_path):
    cell = Cell("CIFAR-100", "pixel2", 40, "random")
    whole = json.dumps({**cell._asdict(), "seeds": table_search.SEEDS})
    fewer = json.dumps({**cell._asdict(), "strategy": "local", "seeds": 1})
    path = tmp_path / "partial.jsonl"
    assert table_search.kept(path) == {}
    path.write_text(f"{whole[:20]}\n{whole}\n{fewer}\n{whole[:30]}", encoding="utf-8")
    assert list(table_search.kept(path)) == [cell]


def test_every_strategy_is_searched_with_every_limit():
    cells = table_search.cells(list(table_search.STRATEGIES))
    assert len(cells) == len(set(cells)) == 20 * len(table_search.STRATEGIES)
    assert {"random", "reinforce", "controller", "model"} <= set(table_search.STRATEGIES)


def test_strategies_are_compared_table_by_table():
    rows = [
        {**Cell(data, "", 0, name)._asdict(), "regret_mean": regret, "std": 0.5, "seeds": 25}
        for data, name, regret in (
            ("CIFAR-100", "local", 0.2),
            ("CIFAR-100", "random", 1.0),
            ("ImageNet16-120", "local", 0.6),
            ("ImageNet16-120", "random", 0.5),
        )
    ]
    own = table_search.compared(rows, "local", "random")
    assert own["difference"] == pytest.approx(-0.35)
    assert own["standard_error"] == pytest.approx(0.1)
    assert (own["first_is_better"], own["of"]) == (1, 2)
