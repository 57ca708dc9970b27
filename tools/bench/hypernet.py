#!/usr/bin/env python3
"""What a hypernetwork is worth: how it ranks, how it predicts, and what it spares.

    tools/bench/hypernet.py [--space micro] [--data digits] [--n 24] [--epochs 10]
                            [--run runs/bench-hypernet] [--out docs/figures/hypernet.json]

Architectures drawn from the space, each trained from scratch for ``--epochs`` epochs: what all
others are compared with. Beside them, with another seed,

* ``hypernet``: accuracy with predicted weights, its batch norms recalibrated;
* ``hypernet, batch statistics``: the same networks by the statistics of the batch;
* ``macs`` and ``one-epoch``: what must be beaten;
* ``scratch, K`` and ``hypernet-init, K``: K epochs from random weights and from predicted ones,
  each with its own schedule; K = 1, 2, 4.

One hypernetwork, trained within the first estimate. What is finished is kept in ``--run``, and
the same command goes on from there; ``--data`` is digits or a folder, as everywhere.
"""

import argparse
import json
import math
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hwnas.cli.common import finite
from hwnas.estimators import AccuracyEstimator, Budget, ScratchEstimator, scoreboard
from hwnas.estimators.collecting import Record, collect, distinct_sample
from hwnas.estimators.hypernet import HypernetEstimator, HypernetInitEstimator, Predictions
from hwnas.estimators.one_epoch import OneEpochEstimator
from hwnas.estimators.size import MacsScore
from hwnas.files import make_folder, write_text
from hwnas.search import Journal
from hwnas.spaces import space
from hwnas.targets.agent import conditions
from hwnas.training import Recipe, load_data
from hwnas.training.hypernet import HypernetEpoch
from hwnas.training.hypernet_recipe import HypernetRecipe

EPOCHS = (1, 2, 4)
REFERENCE = "reference"
Judges = dict[str, tuple[AccuracyEstimator, Budget]]


def judges(given: argparse.Namespace, recipe: HypernetRecipe, folder: Path) -> Judges:
    """By the name of a row, who makes it."""
    data = load_data(given.data, seed=given.seed)
    reference = Recipe(epochs=given.epochs, seed=given.seed)
    own = replace(reference, seed=given.seed + 1)

    def told(epoch: HypernetEpoch) -> None:
        print(
            f"hypernetwork, epoch {epoch.epoch} of {recipe.epochs}: loss {epoch.loss:.3f}, "
            f"{100 * epoch.accuracy:.1f} % of the training images right, {epoch.seconds:.1f} s",
            file=sys.stderr,
        )

    predictions = Predictions(data, space(given.space), recipe, folder / "hypernet", told)
    found: Judges = {
        "macs": (MacsScore(), Budget()),
        "hypernet": (HypernetEstimator(predictions, seed=given.seed + 1), Budget()),
        "one-epoch": (OneEpochEstimator(data, own), Budget()),
        REFERENCE: (ScratchEstimator(data, reference), Budget()),
    }
    scratch, begun = ScratchEstimator(data, own), HypernetInitEstimator(predictions, own)
    for count in EPOCHS:
        found[f"scratch, {count}"] = (scratch, Budget(epochs=count))
        found[f"hypernet-init, {count}"] = (begun, Budget(epochs=count))
    return found


def summary(records: Mapping[str, Sequence[Record]], seed: int) -> dict[str, Any]:
    """Mean accuracies and rank correlations."""
    values = {name: np.array([own.value for own in rows]) for name, rows in records.items()}
    predicted = records["hypernet"]
    values["hypernet, batch statistics"] = np.array(
        [own.provenance["batch_statistics"] for own in predicted]
    )
    # The first estimate holds the hypernetwork's training, which is told apart.
    seconds = {
        name: float(np.median([own.seconds for own in rows])) for name, rows in records.items()
    }
    truth = values.pop(REFERENCE)
    judged = np.isfinite(truth)
    rows = scoreboard(
        {name: own[judged] for name, own in values.items()},
        truth[judged],
        seconds=seconds,
        seed=seed,
    )
    last = predicted[0].provenance
    return {
        "n": int(judged.sum()),
        "diverged": int((~judged).sum()),
        "accuracy_pct": {
            name: _pct(own) for name, own in {REFERENCE: truth, **values}.items() if name != "macs"
        },
        "reference_spread_pct": [_pct(np.array([end(truth[judged])])) for end in (np.min, np.max)],
        "hypernet_seconds": last["hypernet_seconds"],
        "hypernet_loss": last["hypernet_loss"],
        "hypernet_train_accuracy_pct": 100 * last["hypernet_train_accuracy"],
        "reference_seconds_median": seconds[REFERENCE],
        "scores": [row.to_json() for row in rows],
    }


def _pct(values: np.ndarray[Any, np.dtype[np.float64]]) -> float:
    known = values[np.isfinite(values)]
    return round(100 * float(known.mean()), 2) if len(known) else math.nan


def show(found: Mapping[str, Any]) -> None:
    """The rows for people, on standard error."""
    accuracy = found["accuracy_pct"]
    print(f"{found['n']} architectures, reference {accuracy[REFERENCE]} %", file=sys.stderr)
    for row in found["scores"]:
        name = row["estimator"]
        mean = f"  mean {accuracy[name]:6.2f} %" if name in accuracy else ""
        interval = f"({row['low']:.2f} to {row['high']:.2f})"
        print(f"{name:28} Kendall {row['kendall']:6.3f} {interval}{mean}", file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--space", default="micro")
    parser.add_argument("--data", default="digits")
    parser.add_argument("--n", type=int, default=24)
    parser.add_argument("--epochs", type=int, default=10, help="of the reference")
    parser.add_argument("--hypernet-epochs", type=int, default=HypernetRecipe().epochs)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--run", type=Path, default=Path("runs/bench-hypernet"))
    parser.add_argument("--out", type=Path, default=Path("docs/figures/hypernet.json"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    recipe = HypernetRecipe(epochs=given.hypernet_epochs, seed=given.seed + 1)
    makers = judges(given, recipe, make_folder(given.run))
    header = {
        "bench": "hypernet",
        "space": given.space,
        "data": given.data,
        "epochs": given.epochs,
        "hypernet": recipe.to_json(),
        "seed": given.seed,
    }
    journal = Journal(given.run / "estimates.jsonl", header, resume=True, what="benchmark")
    known = [Record.from_json(own["estimate"]) for own in journal.events if "estimate" in own]

    def remember(record: Record) -> None:
        journal.append({"estimate": record.to_json()})
        print(f"{record.estimator} {record.architecture}: {record.value:.4g}", file=sys.stderr)

    sample = distinct_sample(space(given.space), given.n, given.seed)
    found = {
        **header,
        "machine": {
            name: conditions()[name] for name in ("cpu", "cores", "features", "memory_mib")
        },
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        **summary(collect(sample, makers, known=known, remember=remember), given.seed),
    }
    show(found)
    text = json.dumps(finite(found), indent=1) + "\n"
    write_text(given.out, text)
    print(text, end="")


if __name__ == "__main__":
    main()
