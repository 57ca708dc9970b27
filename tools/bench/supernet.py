#!/usr/bin/env python3
"""What supernets cost in memory, and how well their subnets rank architectures.

    tools/bench/supernet.py [--space micro] [--data digits] [--n 50] [--epochs 8]
                            [--run runs/bench-supernet] [--out docs/figures/supernet.json]

``memory``: peak memory of training steps of one network, the largest of --memory-space, and of
the supernets of that space on its largest path, which is the worst case: with plain slices, and
with elastic layers and distillation. Each in a process of its own, as the growth of the
process's largest resident set (``ru_maxrss``, which counts torch's memory on the CPU) over that
of before anything was built.

``ranks``: --n random architectures of --space, trained from scratch for --epochs, beside the
estimators supernet and ofa, one epoch of training and MACs: the scoreboard of ``hwnas score``.
Estimators have the seed after that of the reference. Every estimate is kept in --run as it is made
and the supernets after every epoch; the same command goes on from there. With --table the
truth is not trained but read: a CSV as data/micro/table.csv, with the genes as digits in the column
``arch``; images and recipe are then those of tools/micro_table.py:

    tools/bench/supernet.py --space micro --n 432 --table data/micro/table.csv \\
        --data /usr/share/datasets/fashion-mnist --run runs/bench-supernet-micro \\
        --out docs/figures/supernet_micro.json
"""

import argparse
import csv
import importlib.util
import json
import resource
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from hwnas.errors import HwnasError, RequestError
from hwnas.estimators import Budget, ScratchEstimator, SupernetEstimator
from hwnas.estimators.collecting import Record, Sampled, collect, distinct_sample
from hwnas.estimators.one_epoch import OneEpochEstimator
from hwnas.estimators.ranking import cost_bands
from hwnas.estimators.scoreboard import scoreboard, warnings_of
from hwnas.estimators.size import MacsScore, ParametersScore
from hwnas.files import make_folder, write_text
from hwnas.nets import Network
from hwnas.nets.parameters import channels_last
from hwnas.search import Journal
from hwnas.spaces import SearchSpace, space
from hwnas.targets.agent import conditions
from hwnas.training import ImageData, Recipe, SupernetEpoch, load_data
from hwnas.training.loop import optimiser
from hwnas.training.phases import largest
from hwnas.training.supernet import supernet_of

TRUTH = "reference:scratch"
KINDS = ("network", "uniform", "progressive")
STEPS = 3
MIB = 1 << 20


def micro_table() -> Any:
    """The script that made the table, for its images and its recipe."""
    path = Path(__file__).resolve().parents[1] / "micro_table.py"
    found = importlib.util.spec_from_file_location("micro_table", path)
    assert found is not None and found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def peak_mib() -> float:
    """The largest resident set of this process so far, MiB."""
    kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kib / 1024 if sys.platform != "darwin" else kib / MIB


def memory_of(kind: str, own: SearchSpace, batch_size: int) -> dict[str, float]:
    """Peak memory of a few training steps, in this process."""
    genes, recipe = largest(own), Recipe()
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(batch_size, *own.input_shape(genes), generator=generator)
    labels = torch.randint(own.classes, (batch_size,), generator=generator)
    before = peak_mib()
    teacher: nn.Module | None = None
    network: Any
    if kind == "network":
        network, path = Network(own.decode(genes)), ()
    else:
        network, path = supernet_of(own, kind, 0), (genes,)
        if kind == "progressive":
            teacher = supernet_of(own, kind, 0).requires_grad_(False)
    # As both training loops do.
    images = images.contiguous(memory_format=channels_last(network))
    if teacher is not None:
        channels_last(teacher)
    built = peak_mib()
    made = optimiser(network, recipe)
    for _ in range(STEPS):
        logits = network.train()(images, *path)
        loss = functional.cross_entropy(logits, labels)
        if teacher is not None:
            with torch.no_grad():
                wanted = teacher(images, *path).softmax(1)
            loss = loss + functional.cross_entropy(logits, wanted)
        made.zero_grad(set_to_none=True)
        loss.backward()
        made.step()
    weights = sum(p.numel() * p.element_size() for p in network.parameters()) / MIB
    return {
        "peak_mib": round(peak_mib() - before, 1),
        "of_which_building_mib": round(built - before, 1),
        "weights_mib": round(weights, 2),
    }


def memory(given: argparse.Namespace) -> dict[str, Any]:
    """Peak memory of each kind, each in a fresh process."""
    found: dict[str, Any] = {}
    for kind in KINDS:
        command = [sys.executable, __file__, "--child", kind, "--memory-space", given.memory_space]
        command += ["--batch-size", str(given.batch_size)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found[kind] = json.loads(done.stdout)
        print(kind, done.stdout.strip(), file=sys.stderr)
    alone = found["network"]["peak_mib"]
    return {
        "space": given.memory_space,
        "path": "largest",
        "batch_size": given.batch_size,
        "steps": STEPS,
        "measure": "ru_maxrss of a process, minus that before anything was built",
        **found,
        "uniform_over_network": round(found["uniform"]["peak_mib"] / alone, 3),
        "progressive_over_network": round(found["progressive"]["peak_mib"] / alone, 3),
    }


def known_truth(path: str, column: str, own: SearchSpace) -> dict[str, float]:
    """Accuracies of a table by the digest of the architecture; rows without one are left out."""
    found = {}
    with open(path, newline="") as stream:
        for row in csv.DictReader(stream):
            if row[column]:
                architecture = own.decode([int(digit) for digit in row["arch"]])
                found[architecture.digest] = float(row[column])
    return found


def said(name: str) -> Any:
    """Tells of each epoch of a supernet."""

    def on_epoch(epoch: SupernetEpoch) -> None:
        print(
            f"{name}: epoch {epoch.epoch} ({epoch.phase}), loss {epoch.loss:.3f}, "
            f"{epoch.seconds:.1f} s",
            file=sys.stderr,
        )

    return on_epoch


def setting(given: argparse.Namespace) -> tuple[ImageData, Recipe]:
    """The images and the recipe of the reference."""
    if given.table is None:
        return load_data(given.data, seed=given.seed), Recipe(epochs=given.epochs, seed=given.seed)
    made = micro_table()
    images = made.subset(given.data, made.TRAIN_IMAGES, made.VALIDATION_IMAGES)
    return images, replace(made.RECIPE, seed=given.seed)


def judges(
    given: argparse.Namespace, own: SearchSpace, data: ImageData, recipe: Recipe, folder: Path
) -> dict[str, Any]:
    """The estimators by name, and the reference unless a table knows it."""
    theirs = replace(recipe, seed=recipe.seed + 1)
    found: dict[str, Any] = {
        "macs": MacsScore(),
        "parameters": ParametersScore(),
        "one-epoch": OneEpochEstimator(data, theirs),
    }
    for name, mode in (("supernet", "uniform"), ("ofa", "progressive")):
        found[name] = SupernetEstimator(
            data,
            theirs,
            own,
            epochs=given.supernet_epochs,
            mode=mode,
            folder=folder / name,
            on_epoch=said(name),
        )
    if given.table is None:
        found[TRUTH] = ScratchEstimator(data, recipe)
    return found


def ranks(given: argparse.Namespace) -> dict[str, Any]:
    """The scoreboard on a sample of the space."""
    begin = time.monotonic()
    own, folder = space(given.space), Path(given.run)
    data, recipe = setting(given)
    sample = distinct_sample(own, given.n, given.seed)
    truth = None
    if given.table is not None:
        truth = known_truth(given.table, given.column, own)
        sample = [item for item in sample if item.architecture.digest in truth]
    by_name = judges(given, own, data, recipe, folder)
    make_folder(folder)
    header = {
        "space": own.describe(),
        "images": data.digest,
        "recipe": recipe.to_json(),
        "supernet_epochs": by_name["supernet"].epochs,
    }
    journal = Journal(folder / "estimates.jsonl", header, resume=True, what="benchmark")
    records = collect(
        sample,
        {name: (judge, Budget()) for name, judge in by_name.items()},
        known=[Record.from_json(event["estimate"]) for event in journal.events[1:]],
        remember=lambda record: journal.append({"estimate": record.to_json()}),
        on_step=lambda done, total: print(f"\r{done} of {total}", end="", file=sys.stderr),
    )
    print(file=sys.stderr)
    return table(sample, records, truth) | {
        "space": given.space,
        "data": data.name,
        "truth": given.table or f"scratch, {recipe.epochs} epochs",
        "recipe": recipe.to_json(),
        "supernet_epochs": by_name["supernet"].epochs,
        "seconds_of_this_call": round(time.monotonic() - begin, 1),
    }


def table(
    sample: list[Sampled], records: dict[str, list[Record]], truth: dict[str, float] | None
) -> dict[str, Any]:
    """The rows, and what training the supernets took."""
    values = {name: np.array([r.value for r in own]) for name, own in records.items()}
    seconds = {name: float(np.mean([r.seconds for r in own])) for name, own in records.items()}
    reference_s = seconds.pop(TRUTH, None)
    if truth is None:
        accuracy = values.pop(TRUTH)
    else:
        accuracy = np.array([truth[item.architecture.digest] for item in sample])
    judged = np.isfinite(accuracy)
    macs = np.array([item.architecture.macs for item in sample], dtype=float)
    rows = scoreboard(
        {name: own[judged] for name, own in values.items()},
        accuracy[judged],
        seconds=seconds,
        bands=cost_bands(macs[judged]),
    )
    for row in rows:
        print(f"{row.estimator:12} Kendall {row.statistics.kendall:.3f}", file=sys.stderr)
    return {
        "n": int(judged.sum()),
        "best": float(accuracy[judged].max()),
        "worst": float(accuracy[judged].min()),
        "reference_seconds_per_architecture": reference_s,
        "training_seconds": {
            name: records[name][0].provenance.get("training_seconds")
            for name in ("supernet", "ofa")
        },
        "mean_accuracy": {
            name: float(np.mean(values[name])) for name in ("one-epoch", "supernet", "ofa")
        },
        "scores": [row.to_json() for row in rows],
        "warnings": warnings_of(rows),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--parts", nargs="+", choices=("memory", "ranks"), default=None)
    parser.add_argument("--space", default="micro", help="for ranks")
    parser.add_argument("--data", default="digits", help="for ranks: digits, or a folder")
    parser.add_argument("--n", type=int, default=50, help="architectures, at least 8")
    parser.add_argument("--epochs", type=int, default=8, help="of the reference")
    parser.add_argument("--supernet-epochs", type=int, default=None, help="8 times the reference's")
    parser.add_argument("--table", default=None, help="CSV of known accuracies")
    parser.add_argument("--column", default="validation", help="of --table")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--run", default="runs/bench-supernet", help="folder of what is kept")
    parser.add_argument("--memory-space", default="mobilenet:image_size=96,classes=10")
    parser.add_argument("--batch-size", type=int, default=32, help="for memory")
    parser.add_argument("--out", default="docs/figures/supernet.json")
    parser.add_argument("--child", choices=KINDS, default=None, help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.child is not None:
        print(json.dumps(memory_of(given.child, space(given.memory_space), given.batch_size)))
        return
    try:
        run(given)
    except HwnasError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


def run(given: argparse.Namespace) -> None:
    """Run the parts and write what they found; parts that are not run stay as they were."""
    out = Path(given.out)
    if given.n < 8:
        raise RequestError(f"--n must be at least 8, received {given.n}")
    found: dict[str, Any] = json.loads(out.read_text()) if out.exists() else {}
    known = conditions()
    machine = {key: known[key] for key in ("cpu", "cores", "memory_mib")}
    for part in given.parts or ("memory", "ranks"):
        found[part] = {
            "machine": machine,
            "torch": torch.__version__,
            "threads": 1,
            **(memory(given) if part == "memory" else ranks(given)),
        }
        write_text(out, json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
