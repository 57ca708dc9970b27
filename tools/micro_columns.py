#!/usr/bin/env python3
"""What is known of the space ``micro`` beside its trainings: scores and measured latencies.

    tools/micro_columns.py scores --data /usr/share/datasets/fashion-mnist
    tools/micro_columns.py latency DEVICE [--budget 4m]

``scores`` appends to data/micro/scores.jsonl, for each architecture and each estimator that
does not train to the end, its value and its seconds; it can be killed and goes on.
``latency`` measures all architectures on a device (``hwnas device new``) in the same rounds
and writes data/micro/latency-RUNTIME.json; nothing else may run meanwhile.
``tools/micro_table.py compile`` makes columns of both.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import torch
from micro_table import (
    FOLDER,
    RECIPE,
    SPACE,
    TRAIN_IMAGES,
    VALIDATION_IMAGES,
    arch,
    every_genotype,
    machine,
    subset,
)

from hwnas.cli.common import note, progress, seconds, target_of
from hwnas.errors import HwnasError
from hwnas.estimators import ESTIMATORS, Budget, Setting, estimator
from hwnas.estimators.collecting import Record, Sampled, collect
from hwnas.export.layers_onnx import architecture_bytes
from hwnas.files import write_text
from hwnas.profiles import DeviceProfile
from hwnas.profiling.models import measure_models
from hwnas.search import Journal
from hwnas.spaces import space
from hwnas.training import Recipe

TENTH = Budget(epochs=RECIPE.epochs // 10)
"""What estimators that train each architecture a little may cost: a tenth of the whole."""

SHARED = ("inherit", "supernet", "ofa", "hypernet", "hypernet-init")
"""Estimators that see other architectures first; asked for by name."""

SCORES = tuple(name for name in ESTIMATORS if name not in ("scratch", *SHARED))

SEED = 2
"""Not one of the trainings': no score starts from the weights that were trained."""

TOLD = ("diverged", "epochs", "parent", "lineage_epochs", "training_seconds", "batch_statistics")
"""What is kept of how an estimate was made, where it is told."""


def run_scores(given: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    data = subset(given.data, given.train_images, given.validation_images)
    recipe = Recipe(**{**RECIPE.to_json(), "seed": SEED})
    header = {
        "space": space(SPACE).describe(),
        "images": data.digest,
        "recipe": recipe.to_json(),
        "machine": machine("cpu"),
    }
    journal = Journal(Path(given.out) / "scores.jsonl", header, resume=True, what="table")
    known = [Record.from_json(event) for event in journal.events[1:]]
    names = given.scores.split(",") if given.scores else SCORES
    setting = Setting(data, recipe, SEED, space(SPACE), Path(given.weights))
    judges = {name: (estimator(name, setting), TENTH) for name in names}
    own = space(SPACE)
    sample = [
        Sampled(genes, own.decode(genes)) for genes in every_genotype()[: given.first or None]
    ]
    with progress(f"{len(sample)} architectures, {len(judges)} scores") as bar:
        collect(
            sample,
            judges,
            known=known,
            remember=lambda record: journal.append(kept(record)),
            on_step=lambda done, total: bar.update(done / total),
        )


def kept(record: Record) -> dict[str, Any]:
    """A record without what is the same in every line."""
    told = {key: record.provenance[key] for key in TOLD if key in record.provenance}
    return record.to_json() | {"provenance": told, "seconds": round(record.seconds, 5)}


def run_latency(given: argparse.Namespace) -> None:
    profile = DeviceProfile.open(given.device, on_wait=note)
    own = space(SPACE)
    genotypes = every_genotype()[: given.first or None]
    models = {arch(genes): architecture_bytes(own.decode(genes)) for genes in genotypes}
    with progress(f"measuring {len(models)} networks") as bar:
        found, failures, conditions = measure_models(
            profile,
            target_of(profile),
            models,
            budget_s=seconds(given.budget),
            on_progress=bar.update,
        )
    for name, reason in failures.items():
        note(f"{name} was not measured: {reason}")
    device = profile.device
    whole = {
        "runtime": device.runtime,
        "threads": device.threads,
        "precision": device.precision,
        "cpu": profile.device.name,
        "conditions": conditions,
        "latency_ms": {
            name: [round(m.latency_ms, 6), round(m.low_ms, 6), round(m.high_ms, 6), m.verdict]
            for name, m in sorted(found.items())
        },
    }
    lines = json.dumps(whole, indent=None).replace('"latency_ms": {', '"latency_ms": {\n')
    path = Path(given.out) / f"latency-{device.runtime}.json"
    write_text(path, lines.replace("], ", "],\n") + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    commands = parser.add_subparsers(dest="what", required=True)
    scores = commands.add_parser("scores")
    scores.add_argument("--data", default="/usr/share/datasets/fashion-mnist", help="IDX folder")
    scores.add_argument("--scores", default="", help="names with commas, all by default")
    scores.add_argument("--weights", default="runs/micro", help="folder of weights that are shared")
    scores.add_argument("--train-images", type=int, default=TRAIN_IMAGES)
    scores.add_argument("--validation-images", type=int, default=VALIDATION_IMAGES)
    latency = commands.add_parser("latency")
    latency.add_argument("device", help="of a runtime that runs here")
    latency.add_argument("--budget", default="4m", help="time to measure")
    for own in (scores, latency):
        own.add_argument("--out", default=str(FOLDER), help="folder")
        own.add_argument("--first", type=int, default=0, help="only so many architectures")
    given = parser.parse_args()
    try:
        {"scores": run_scores, "latency": run_latency}[given.what](given)
    except HwnasError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
