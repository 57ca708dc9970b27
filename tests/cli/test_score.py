"""The scoreboard from the command line: in small, and with trainings that are only pretended."""

import csv
import gzip
import json
import math
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from hwnas.estimators import (
    ESTIMATORS,
    Estimate,
    InheritEstimator,
    ScratchEstimator,
    mean_rank,
    rank_statistics,
    scratch,
)
from hwnas.spaces import space

SPACE = "micro:image_size=16"
ALWAYS = {"macs", "parameters", "one-epoch"}


def words(run=None, n=8, estimators="synflow", **more):
    options = {"space": SPACE, "n": n, "estimators": estimators}
    options |= more if "train-macs" in more else {"epochs": 1} | more
    if run is not None:
        options["run"] = run
    return ["score", *(w for k, v in options.items() for w in (f"--{k}", v))]


def estimates(run):
    events = map(json.loads, (run / "estimates.jsonl").read_text().splitlines())
    return [event["estimate"] for event in events if "estimate" in event]


@pytest.fixture
def pretended(monkeypatch):
    """Trainings that take no time: accuracy by MACs and the weights' seed. A list of them."""
    made = []

    def estimate(self, architecture, budget):
        made.append((architecture.digest, self.recipe.seed, self.recipe.epochs))
        rng = np.random.default_rng([int(architecture.digest, 16), self.recipe.seed])
        value = 0.1 * math.log(architecture.macs) + rng.normal(0, 0.05)
        return Estimate(value, 0.5, {"estimator": "scratch", "recipe": self.recipe.to_json()})

    monkeypatch.setattr(ScratchEstimator, "estimate", estimate)
    return made


def test_a_killed_run_goes_on_and_gives_what_an_unbroken_one_gives(hwnas, tmp_path):
    run, whole = tmp_path / "run", tmp_path / "whole"
    journal = run / "estimates.jsonl"
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "hwnas.cli.main",
            *map(str, words(run, estimators="naswot,scratch")),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    until = time.monotonic() + 120
    while time.monotonic() < until and process.poll() is None:
        if journal.exists() and journal.read_bytes().count(b"\n") > 12:
            break
        time.sleep(0.02)
    assert process.poll() is None, "the run ended before it could be killed"
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = journal.read_text()
    kept = kept[: kept.rfind("\n") + 1]
    refused = hwnas(*words(run, estimators="naswot,scratch"))
    assert refused.code == 2 and "holds a scoreboard already; give --resume" in refused.err
    done = hwnas(*words(run, estimators="naswot,scratch"), "--resume", "--json")
    assert done.code == 0, done.err
    assert journal.read_text().startswith(kept) and kept.count("\n") > 12
    made = [(own["estimator"], own["architecture"]) for own in estimates(run)]
    assert len(made) == len(set(made)) == 8 * 6
    unbroken = hwnas(*words(whole, estimators="naswot,scratch"), "--json")
    assert unbroken.code == 0
    assert [without_times(row) for row in done.json["scores"]] == [
        without_times(row) for row in unbroken.json["scores"]
    ]
    # The same job again is there already.
    again = hwnas(*words(run, estimators="naswot,scratch"), "--resume", "--json")
    assert len(estimates(run)) == 48 and again.json["scores"] == done.json["scores"]


def without_times(row):
    return {key: own for key, own in row.items() if key != "seconds_per_architecture"}


def test_the_json_that_scripts_read(hwnas, tmp_path, pretended):
    done = hwnas(*words(tmp_path / "run", n=12, estimators="naswot", epochs=3, seed=5), "--json")
    assert done.code == 0, done.err
    result = done.json
    assert result["n"] == 12 and result["reference"] == "scratch" and result["diverged"] == 0
    assert result["recipe"]["epochs"] == 3 and result["band"] == "MACs"
    rows = {row["estimator"]: row for row in result["scores"]}
    assert set(rows) == ALWAYS | {"naswot"}
    for row in rows.values():
        assert -1 <= row["low"] <= row["kendall"] <= row["high"] <= 1
        assert -1 <= row["spearman"] <= 1 and 0 <= row["regret"] <= 0.5
        assert row["top_decile_kendall"] is None
        assert row["seconds_per_architecture"] >= 0
    assert rows["one-epoch"]["seconds_per_architecture"] == 0.5
    assert result["reference_seconds_per_architecture"] == 0.5
    kendalls = [row["kendall"] for row in result["scores"]]
    assert kendalls == sorted(kendalls, reverse=True)
    assert json.loads((tmp_path / "run/scores.json").read_text()) == result
    # The reference has the seed asked for, estimators the next.
    assert {(seed, epochs) for _, seed, epochs in pretended} == {(5, 3), (6, 1)}


def test_a_run_can_be_given_more_architectures_and_estimators(hwnas, tmp_path, pretended):
    run = tmp_path / "run"
    assert hwnas(*words(run)).code == 0
    assert len(pretended) == 16
    more = hwnas(*words(run, n=10, estimators="scratch"), "--resume", "--json")
    assert more.code == 0, more.err
    # Two of each of two, and ten of what is new.
    assert len(pretended) == 16 + 4 + 10
    assert more.json["n"] == 10
    assert {row["estimator"] for row in more.json["scores"]} == ALWAYS | {"scratch"}


def test_a_run_keeps_the_weights_that_children_inherit(hwnas, tmp_path, monkeypatch, pretended):
    monkeypatch.delenv("HWNAS_WEIGHTS", raising=False)
    run, parents = tmp_path / "run", []
    real = InheritEstimator.estimate

    def estimate(self, architecture, budget):
        found = real(self, architecture, budget)
        parents.append(found.provenance["parent"])
        return found

    monkeypatch.setattr(InheritEstimator, "estimate", estimate)
    assert hwnas(*words(run, estimators="inherit")).code == 0
    kept = {path.stem for path in (run / "weights" / "inherit").glob("*/*.weights")}
    assert len(kept) == 8 and parents[0] is None and set(parents[1:]) <= kept
    parents.clear()
    assert hwnas(*words(run, n=9, estimators="inherit"), "--resume").code == 0
    assert len(parents) == 1 and parents[0] in kept


def test_ctrl_c_says_what_is_kept(hwnas, tmp_path, monkeypatch, pretended):
    real = ScratchEstimator.estimate

    def estimate(self, architecture, budget):
        if len(pretended) == 5:
            raise KeyboardInterrupt
        return real(self, architecture, budget)

    with monkeypatch.context() as patch:
        patch.setattr(ScratchEstimator, "estimate", estimate)
        cut = hwnas(*words(tmp_path / "run"), "--json")
    assert cut.code == 1 and cut.out == ""
    count = len(estimates(tmp_path / "run"))
    assert f"{count} estimates are kept" in cut.err and "--resume" in cut.err
    assert hwnas(*words(tmp_path / "run"), "--resume").code == 0
    assert len(pretended) == len(set(pretended)) == 16


def test_what_diverges_is_left_out_and_counted(hwnas, tmp_path, monkeypatch, pretended):
    real, broken = ScratchEstimator.estimate, []

    def estimate(self, architecture, budget):
        found = real(self, architecture, budget)
        if self.recipe.seed == 0 and len(broken) < limit:
            broken.append(architecture.digest)
            return Estimate(math.nan, 0.1, {"diverged": True})
        return found

    monkeypatch.setattr(ScratchEstimator, "estimate", estimate)
    limit = 2
    done = hwnas(*words(tmp_path / "run", n=10), "--json")
    assert done.code == 0, done.err
    assert done.json["n"] == 8 and done.json["diverged"] == 2 and done.json["asked"] == 10
    assert done.json["worst"] > 0
    broken.clear()
    shown = hwnas(*words(n=10))
    assert "8 architectures" in shown.out and "2 without an accuracy are left out" in shown.out
    broken.clear()
    limit = 3
    few = hwnas(*words(n=10))
    assert few.code == 1 and "only 7 of 10 trainings gave an accuracy" in few.err


def test_an_estimator_that_does_not_beat_macs_is_warned_of(hwnas, monkeypatch, pretended):
    class Backwards:
        name = "backwards"

        def estimate(self, architecture, budget):
            return Estimate(-float(architecture.macs), 0.0, {"estimator": self.name})

    monkeypatch.setitem(ESTIMATORS, "backwards", lambda setting: Backwards())
    done = hwnas(*words(n=20, estimators="backwards"))
    assert done.code == 0
    warnings = [line for line in done.err.splitlines() if line.startswith("warning: no better")]
    assert len(warnings) == 1 and "backwards (-" in warnings[0]
    assert "nothing is kept" in done.err
    for text in ("Kendall", "over MACs", "top tenth", "in MACs band", "regret", "s each"):
        assert text in done.out
    assert "backwards" in done.out and "one-epoch" in done.out


def test_a_learned_predictor_is_judged_on_what_it_did_not_see(hwnas, pretended):
    done = hwnas(*words(n=40, estimators="learned,learned-early,synflow"), "--json")
    assert done.code == 0, done.err
    rows = {row["estimator"]: row for row in done.json["scores"]}
    assert set(rows) == ALWAYS | {"synflow", "learned", "learned-early"}
    assert rows["learned"]["kendall"] > 0.3
    assert set(done.json["learned"]) == {"learned", "learned-early"}
    # Shown one epoch of training, it costs one.
    assert rows["learned-early"]["seconds_per_architecture"] > 0.5
    assert rows["learned"]["seconds_per_architecture"] < 0.5


def test_a_combination_is_a_row_that_costs_its_parts_once(hwnas, tmp_path, pretended):
    asked = "macs+scratch,one-epoch+macs,synflow+macs+one-epoch"
    done = hwnas(*words(tmp_path / "run", n=20, estimators=asked), "--json")
    assert done.code == 0, done.err
    rows = {row["estimator"]: row for row in done.json["scores"]}
    assert set(rows) == ALWAYS | {"synflow", "scratch", *asked.split(",")}
    # Parts are in several combinations and computed once.
    made = [(own["estimator"], own["architecture"]) for own in estimates(tmp_path / "run")]
    assert len(made) == len(set(made)) == 20 * 6
    cost = {name: row["seconds_per_architecture"] for name, row in rows.items()}
    parts = cost["synflow"] + cost["macs"] + cost["one-epoch"]
    assert cost["synflow+macs+one-epoch"] == pytest.approx(parts)
    values = {
        name: [own["value"] for own in estimates(tmp_path / "run") if own["estimator"] == name]
        for name in ("macs", "scratch", "reference:scratch")
    }
    pool = rank_statistics(
        mean_rank([values["macs"], values["scratch"]]), values["reference:scratch"]
    )
    assert rows["macs+scratch"]["kendall"] == pytest.approx(pool.kendall)
    # From the journal, where minus infinity is nothing, comes the same.
    again = hwnas(*words(tmp_path / "run", n=20, estimators=asked), "--resume", "--json")
    assert again.json["scores"] == done.json["scores"]


def test_a_learned_predictor_in_a_combination_costs_what_it_is_shown_once(hwnas, pretended):
    done = hwnas(*words(n=16, estimators="learned-early+one-epoch,learned,scratch"), "--json")
    assert done.code == 0, done.err
    cost = {row["estimator"]: row["seconds_per_architecture"] for row in done.json["scores"]}
    assert cost["learned-early+one-epoch"] == pytest.approx(cost["learned-early"])
    # Not shown to a predictor that is to save trainings.
    assert cost["learned"] < 0.5


@pytest.fixture
def few_images(tmp_path):
    """A folder of ten classes by brightness, six training images each."""
    rng = np.random.default_rng(0)
    for label in range(10):
        folder = tmp_path / f"images/{label}"
        folder.mkdir(parents=True)
        for number in range(10):
            pixels = rng.integers(0, 60, (12, 12)).astype(np.uint8) + 19 * label
            Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number}.png")
    return tmp_path / "images"


def test_trainings_end_at_equal_operations(hwnas, tmp_path, few_images):
    run, macs = tmp_path / "run", 3e7
    more = {"estimators": "macs", "data": few_images}
    done = hwnas(*words(run, **more, **{"train-macs": macs}), "--json")
    assert done.code == 0, done.err
    assert done.json["training"] == {"macs": macs}
    told = [own for own in estimates(run) if own["estimator"] == "reference:scratch"]
    assert len(told) == 8
    for own in told:
        architecture, found = space(SPACE).decode(own["genotype"]), own["provenance"]
        # Sixty training images are two steps of thirty.
        assert found["ended_by"] == "macs" and found["macs"] <= macs
        assert found["macs"] + 3 * architecture.macs * 30 > macs
    assert len({own["provenance"]["recipe"]["epochs"] for own in told}) > 1
    refused = hwnas(*words(run, **more, **{"train-macs": 2 * macs}), "--resume")
    assert refused.code == 2 and "training differ" in refused.err


def test_a_run_goes_on_within_a_training(hwnas, tmp_path, few_images, monkeypatch):
    run = tmp_path / "run"
    more = {
        "data": few_images,
        "estimators": "macs",
        "epochs": 3,
        "patience": 2,
        "train-time": "5m",
    }
    whole = hwnas(*words(tmp_path / "whole", **more), "--json")
    real, epochs = scratch.train, []

    def train(*args, on_epoch, **keywords):
        def count(epoch):
            on_epoch(epoch)
            epochs.append(epoch.epoch)
            # In the second reference training; each has one epoch of one-epoch before it.
            if len(epochs) == 1 + 3 + 1 + 2:
                raise KeyboardInterrupt

        return real(*args, on_epoch=count, **keywords)

    with monkeypatch.context() as patch:
        patch.setattr(scratch, "train", train)
        cut = hwnas(*words(run, **more))
    assert cut.code == 1 and "--resume" in cut.err
    assert len(list((run / "weights/scratch").iterdir())) == 1
    epochs.clear()
    monkeypatch.setattr(scratch, "train", train)
    epochs.extend([0] * 1000)
    done = hwnas(*words(run, **more), "--resume", "--json")
    assert done.code == 0, done.err
    assert epochs[1000] == 3
    assert list((run / "weights/scratch").iterdir()) == []
    assert [without_times(row) for row in done.json["scores"]] == [
        without_times(row) for row in whole.json["scores"]
    ]


def test_an_estimator_that_fails_on_an_architecture_is_missing_there(hwnas, monkeypatch, pretended):
    class Frail:
        name = "frail"

        def __init__(self):
            self.count = 0

        def estimate(self, architecture, budget):
            self.count += 1
            if self.count == 3:
                raise OverflowError("too large")
            return Estimate(float(architecture.parameters), 0.0, {"estimator": self.name})

    monkeypatch.setitem(ESTIMATORS, "frail", lambda setting: Frail())
    done = hwnas(*words(n=12, estimators="frail"), "--json")
    assert done.code == 0, done.err
    assert next(r for r in done.json["scores"] if r["estimator"] == "frail")["missing"] == 1
    (said,) = [text for text in done.json["warnings"] if text.startswith("frail: no value")]
    assert said.endswith("1 of 12 architectures; the first because too large")


def test_a_learned_predictor_says_when_trainings_are_too_few(hwnas, monkeypatch, pretended):
    def estimate(self, architecture, budget):
        # One exception among equals is nothing that the others could tell.
        first.append(architecture.digest)
        return Estimate(0.9 if architecture.digest == first[0] else 0.5, 0.5, {})

    first: list[str] = []
    monkeypatch.setattr(ScratchEstimator, "estimate", estimate)
    done = hwnas(*words(n=9, estimators="learned"))
    assert done.code == 0
    assert "warning: learned: 9 trials are too few to learn from" in done.err
    assert "9 trials are too few" in done.out


def test_bands_of_a_devices_latency(hwnas, sim, pretended):
    assert hwnas("fit", "sim").code == 0
    done = hwnas(*words(space="resnet-32", device="sim", estimators="macs"), "--json")
    assert done.code == 0, done.err
    assert done.json["band"] == "latency"
    assert all(row["band_kendall"] is not None for row in done.json["scores"])


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"estimators": "synflw"}, "did you mean synflow"),
        ({"estimators": "naswot+synflw"}, "did you mean synflow"),
        ({"estimators": "naswot+"}, "names with '+' between, each once"),
        ({"estimators": "naswot+naswot"}, "names with '+' between, each once"),
        ({"train-time": "soon"}, "such as 90s"),
        ({"train-macs": 0}, "macs must be more than 0"),
        ({"train-macs": "inf"}, "macs must be more than 0 and finite"),
        ({"estimators": "learnd"}, "did you mean learned"),
        ({"estimators": ","}, "--estimators takes names with commas"),
        ({"reference": "scrach"}, "no reference named 'scrach'; did you mean scratch"),
        ({"n": 7}, "--n must be at least 8, received 7"),
        ({"n": 433}, "has 432 architectures; --n must be at most that"),
        ({"space": "micr"}, "did you mean micro"),
        ({"space": "micro:classes=3"}, "use --space micro:classes=10"),
        ({"data": "nowhere"}, "does not exist"),
        ({"device": "nodevice"}, "nodevice"),
        ({"accuracy": "x"}, "--accuracy is for a table"),
        ({"table": "t.csv"}, "--space trains, and a table is not trained"),
    ],
)
def test_wrong_requests_are_refused_before_any_work(hwnas, profiles, tmp_path, changed, says):
    done = hwnas(*words(tmp_path / "run", **changed))
    assert done.code == 2 and done.out == ""
    assert says in done.err.replace("\n", " ")
    assert not (tmp_path / "run").exists()


def test_a_request_without_its_space_or_folder_is_refused(hwnas):
    assert "give --space NAME" in hwnas("score").err
    done = hwnas(*words(), "--resume")
    assert done.code == 2 and "--resume needs --run DIR" in done.err


def test_data_of_one_class_are_refused(hwnas, tmp_path):
    (tmp_path / "single/only").mkdir(parents=True)
    for number in range(5):
        Image.new("RGB", (12, 12), (number, 0, 0)).save(tmp_path / f"single/only/{number}.png")
    done = hwnas(*words(data=tmp_path / "single"))
    assert done.code == 2 and "at least two classes" in done.err


@pytest.mark.parametrize(
    ("changed", "says"),
    [({"epochs": 2}, "recipe differ"), ({"seed": 1}, "seed differ"), ({"space": "micro"}, "space")],
)
def test_a_journal_of_other_settings_is_refused(hwnas, tmp_path, pretended, changed, says):
    run = tmp_path / "run"
    assert hwnas(*words(run)).code == 0
    done = hwnas(*words(run, **changed), "--resume")
    assert done.code == 2
    assert "belongs to another scoreboard" in done.err and says in done.err


def test_a_broken_journal_is_refused(hwnas, tmp_path, pretended):
    run = tmp_path / "run"
    assert hwnas(*words(run)).code == 0
    with (run / "estimates.jsonl").open("a") as file:
        file.write('{"estimate": {"estimator": "macs"}}\n')
    done = hwnas(*words(run), "--resume")
    assert done.code == 2 and "holds a broken estimate" in done.err


# Tables


@pytest.fixture
def table(tmp_path):
    """A table of forty cells: accuracy, a good score with a gap, a text, sizes left out."""
    rng = np.random.default_rng(0)
    operations = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")

    def write(name="t.csv", change=None, without=()):
        rows = [["idx", "arch_str", "accuracy", "score", "noise", "text", "ms"]]
        for number in range(40):
            a, b, c, d, e, f = (operations[i] for i in rng.integers(0, 5, 6))
            cell = f"|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|"
            accuracy = 50 + number
            values = [accuracy, accuracy + rng.normal(0, 2), rng.random(), "words", number % 7 + 1]
            rows.append([number, cell, *values])
        rows[5][3] = ""
        for (line, column), value in (change or {}).items():
            rows[line][column] = value
        kept = [i for i, title in enumerate(rows[0]) if title not in without]
        path = tmp_path / name
        opened = gzip.open if name.endswith(".gz") else open
        with opened(path, "wt", newline="") as stream:
            csv.writer(stream).writerows([[row[i] for i in kept] for row in rows])
        return path

    return write


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
def test_the_columns_of_a_table_are_ranked(hwnas, table, name):
    done = hwnas("score", "--table", table(name), "--accuracy", "accuracy", "--json")
    assert done.code == 0, done.err
    result = done.json
    rows = {row["estimator"]: row for row in result["scores"]}
    assert set(rows) == {"score", "noise", "ms", "macs", "parameters"}
    assert result["n"] == 40 and result["reference"] == "accuracy"
    assert result["best"] == 89 and result["diverged"] == 0
    good = rows["score"]
    assert good["kendall"] > 0.8 and good["beats_macs"] is True and good["missing"] == 1
    assert good["seconds_per_architecture"] is None
    assert good["top_decile_kendall"] is not None and good["band_kendall"] > 0.5
    assert rows["noise"]["regret"] > good["regret"] >= 0
    assert "warning" in done.err and "noise (" in done.err


def test_chosen_columns_another_band_and_fewer_rows(hwnas, table):
    request = ["score", "--table", table(), "--accuracy", "accuracy", "--scores", "score"]
    done = hwnas(*request, "--band", "ms", "--n", 20, "--json")
    assert done.code == 0, done.err
    assert {row["estimator"] for row in done.json["scores"]} == {"score", "macs", "parameters"}
    assert done.json["n"] == 20 and done.json["band"] == "ms"
    assert hwnas(*request, "--band", "ms", "--n", 20, "--json").json == done.json
    shown = hwnas(*request)
    assert shown.code == 0 and "40 architectures" in shown.out and "in MACs band" in shown.out


def test_a_table_without_sizes_says_so(hwnas, table):
    path = table(without=("arch_str",))
    done = hwnas("score", "--table", path, "--accuracy", "accuracy", "--json")
    assert done.code == 0
    assert "whether anything beats MACs is not known" in done.err.replace("\n", " ")
    assert all(row["band_kendall"] is None for row in done.json["scores"])


def test_rows_without_an_accuracy_are_left_out_and_counted(hwnas, table):
    path = table(change={(1, 2): "", (2, 2): "nan"})
    done = hwnas("score", "--table", path, "--accuracy", "accuracy", "--json").json
    assert done["n"] == 38 and done["diverged"] == 2 and done["worst"] == 52


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ((), "give --accuracy COLUMN"),
        (("--accuracy", "acc"), "no column in 't.csv' named 'acc'; did you mean accuracy"),
        (("--accuracy", "text"), "line 2, column 'text': expected a number or nothing"),
        (("--accuracy", "accuracy", "--scores", "scor"), "did you mean score"),
        (("--accuracy", "accuracy", "--band", "score"), "has rows without a cost"),
        (("--accuracy", "accuracy", "--n", "7"), "--n is from 8 to 40"),
        (("--accuracy", "accuracy", "--n", "41"), "received 41"),
        (("--accuracy", "accuracy", "--resume"), "--resume trains, and a table is not"),
        (("--accuracy", "accuracy", "--epochs", "3"), "--epochs trains, and a table is not"),
        (("--accuracy", "accuracy", "--patience", "3"), "--patience trains, and a table is not"),
    ],
)
def test_wrong_requests_of_a_table(hwnas, table, monkeypatch, more, says):
    monkeypatch.chdir(table().parent)
    done = hwnas("score", "--table", "t.csv", *more)
    assert done.code == 2 and done.out == ""
    assert says in done.err.replace("\n", " ")


def test_a_table_of_seven_rows_is_too_small(hwnas, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("accuracy,score\n" + "".join(f"{i},{i}\n" for i in range(7)))
    done = hwnas("score", "--table", path, "--accuracy", "accuracy")
    assert done.code == 2 and "has 7 rows with a value" in done.err
