import csv
import gzip

import numpy as np
import pytest

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
COSTS = {
    "near": (0, 0.1, 1, 4, 0.5),
    "other": (0, 0.3, 1.2, 3, 1.5),
    "third": (0, 0.1, 2, 5, 0.3),
    "new": (0, 0.2, 1.5, 3.5, 0.8),
}


@pytest.fixture(scope="session")
def cells():
    """Three hundred cells, as digits, and what they take on four devices, ms."""
    digits = np.random.default_rng(0).integers(0, 5, (300, 6))
    noise = np.exp(np.random.default_rng(1).normal(0, 0.01, (300, len(COSTS))))
    times = np.stack([3 + np.array(own)[digits].sum(axis=1) for own in COSTS.values()], axis=1)
    return digits, times * noise


def text_of(row):
    a, b, c, d, e, f = (OPERATIONS[i] for i in row)
    return f"|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|"


@pytest.fixture
def table(tmp_path, cells):
    """Writes the table; a value or the name of the first column can be changed."""

    def write(name="t.csv", change=None, arch="arch_str"):
        digits, times = cells
        rows = [["idx", arch, *COSTS]]
        for number, (own, values) in enumerate(zip(digits, times, strict=True)):
            rows.append([str(number), text_of(own), *(f"{v:.6f}" for v in values)])
        for (line, column), value in (change or {}).items():
            rows[line][column] = value
        path = tmp_path / name
        opened = gzip.open if name.endswith(".gz") else open
        with opened(path, "wt", newline="") as stream:
            csv.writer(stream).writerows(rows)
        return path

    return write


def words(path, **changed):
    options = {"latencies": path, "reference": "near,other,third", "targets": "new", "seeds": 3}
    options |= {"samples": 10} | changed
    return ["bench", "transfer", *(w for k, v in options.items() for w in (f"--{k}", v))]


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
def test_the_json_that_scripts_read(hwnas, table, name):
    done = hwnas(*words(table(name)), "--json")
    assert done.code == 0
    row = done.json["targets"]["new"]
    assert set(row) >= {"spearman_mean", "spearman_std", "mape_pct"}
    assert row["median_error_pct"] < 10 and 75 < row["inside_pct"] <= 100
    assert done.json["mean"] == row["spearman_mean"] > 0.97
    assert row["mape_pct"] < 10
    baselines = done.json["baselines"]
    assert set(baselines) == {"flops", "best_reference", "median_reference"}
    for baseline in baselines.values():
        assert baseline["targets"]["new"]["spearman_mean"] == baseline["mean"]
        assert row["mape_pct"] < baseline["targets"]["new"]["mape_pct"]
    assert hwnas(*words(table(name)), "--json").json == done.json


def test_chosen_samples_are_said_and_do_not_differ_by_chance(hwnas, table):
    done = hwnas(*words(table()), "--choose", "--json").json
    assert done["chosen"] == "by variance" and done["mean"] > 0.97


def test_genes_in_place_of_strings(hwnas, table, cells, tmp_path):
    genes = tmp_path / "genes.csv"
    np.savetxt(genes, cells[0], fmt="%d", delimiter=",", header="a,b,c,d,e,f", comments="")
    done = hwnas(*words(table(arch="name"), genes=genes), "--json")
    assert done.code == 0 and done.json["mean"] > 0.95
    # Choices without a meaning have no FLOPs.
    assert set(done.json["baselines"]) == {"best_reference", "median_reference"}
    genes.write_text("a\n1\n2\n")
    short = hwnas(*words(table(), genes=genes))
    assert short.code == 2 and "has 2 rows, the table of latencies 300" in short.err
    genes.write_text("a\n" + "1\n" * 299 + "x\n")
    text = hwnas(*words(table(), genes=genes))
    assert text.code == 2 and "must hold integers only" in text.err


def test_a_table_for_people(hwnas, table):
    done = hwnas(*words(table()))
    assert done.code == 0 and "10 samples at random, 3 seeds" in done.out
    assert "new" in done.out and "FLOPs" in done.out and "mean" in done.out


def test_another_column_of_architectures(hwnas, table):
    path = table(arch="cell")
    refused = hwnas(*words(path))
    assert refused.code == 2 and "no column 'arch_str'" in refused.err
    assert "idx, cell, near" in refused.err and "--genes" in refused.err
    assert hwnas(*words(path, **{"arch-column": "cell"}), "--json").code == 0


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"targets": "nex"}, "no column in 't.csv' named 'nex'; did you mean new"),
        ({"reference": "near,nothing"}, "Known: arch_str, idx, near, new"),
        ({"targets": "new,near"}, "a target cannot be a reference: near"),
        ({"targets": ","}, "--targets is a list of different names"),
        ({"reference": "near,near"}, "--reference is a list of different names"),
        ({"samples": 2}, "--samples is from 3 to 297"),
        ({"samples": 300}, "at least 3 judge; received 300"),
        ({"latencies": "missing.csv"}, "there is no file 'missing.csv'"),
    ],
)
def test_a_request_that_is_wrong(hwnas, table, monkeypatch, changed, said):
    monkeypatch.chdir(table().parent)
    done = hwnas(*words("t.csv", **changed))
    assert done.code == 2 and done.out == ""
    assert said in done.err.replace("\n", " ")


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "", "fast"])
def test_what_is_no_latency_is_named_with_its_place(hwnas, table, value):
    done = hwnas(*words(table(change={(7, 5): value})))
    assert done.code == 2
    assert (
        f"line 8, column 'new': a latency is a positive number of milliseconds; received '{value}'"
        in (done.err.replace("\n", " "))
    )


def test_files_that_are_no_tables(hwnas, tmp_path):
    for name, content, said in (
        ("a.csv", b"", "has no rows below its header"),
        ("b.csv", b"a,b\n1\n", "row 2: 1 values for 2 columns"),
        ("c.csv", b"a,a\n1,2\n", "columns of the same name"),
        ("d.csv.gz", b"no gzip", "cannot be read as CSV"),
        ("e.csv", b"\xff\xfe\n", "cannot be read as CSV"),
    ):
        path = tmp_path / name
        path.write_bytes(content)
        done = hwnas(*words(path))
        assert done.code == 2 and said in done.err.replace("\n", " ")


def test_a_target_whose_latencies_are_all_the_same_has_no_rank(hwnas, table):
    same = {(line, 5): "3.0" for line in range(1, 301)}
    path = table(change=same)
    alone = hwnas(*words(path), "--json")
    assert alone.code == 0
    row = alone.json["targets"]["new"]
    assert row["spearman_mean"] is None and row["spearman_std"] is None and row["mape_pct"] < 100
    assert alone.json["mean"] is None and "'new' that judge are all the same" in alone.err
    both = hwnas(*words(path, targets="new,third", reference="near,other"), "--json")
    assert both.json["mean"] == both.json["targets"]["third"]["spearman_mean"] > 0.9
    people = hwnas(*words(path))
    assert people.code == 0 and "–" in people.out


def test_latencies_as_far_apart_as_are_allowed_warn_of_nothing(hwnas, table):
    change = {(line, 5): "1e9" if line % 2 else "1e-9" for line in range(1, 301)}
    assert hwnas(*words(table(change=change)), "--json").code == 0


def test_square_brackets_in_a_device_are_no_markup(hwnas, tmp_path, table):
    path = table()
    path.write_text(path.read_text().replace(",new", ",[/new]", 1))
    done = hwnas(*words(path, targets="[/new]"))
    assert done.code == 0 and "[/new]" in done.out
