#!/usr/bin/env python3
"""Trains every architecture of the space ``micro`` on Fashion-MNIST, and makes the table.

    tools/micro_table.py train --data /usr/share/datasets/fashion-mnist [--workers 2]
    tools/micro_table.py compile

``train`` appends a line to data/micro/trials.jsonl for each finished training and can be
killed at any moment; a further run goes on with what is missing. Without an installed hwnas,
set PYTHONPATH to the repository's root. ``compile`` makes
data/micro/table.csv of it. Needs hwnas, torch, numpy and scikit-learn, no more.
"""

import argparse
import csv
import json
import multiprocessing
import platform
import statistics
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hwnas.errors import DivergedError, HwnasError, RequestError
from hwnas.files import append_text, write_text
from hwnas.nets import Network
from hwnas.spaces import space
from hwnas.training import ImageData, Recipe, load_data, train
from hwnas.training.images import Split
from hwnas.training.splits import stratified_split

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "data/micro"
SCHEMA = 1
SPACE = "micro"
SEEDS = 2
TRAIN_IMAGES, VALIDATION_IMAGES = 5_000, 4_000
RECIPE = Recipe(epochs=10, batch_size=64, learning_rate=0.15, shift=0.0)

Task = tuple[tuple[int, ...], int]


def subset(folder: str, train_images: int, validation_images: int) -> ImageData:
    """A fixed part of the training images, classes in equal shares, and all test images."""
    whole = load_data(folder, seed=0)
    images = np.concatenate([whole.train.images, whole.validation.images])
    labels = np.concatenate([whole.train.labels, whole.validation.labels])
    shares = (train_images / len(labels), validation_images / len(labels))
    if sum(shares) >= 1:
        raise RequestError(f"'{folder}' has {len(labels)} training images, too few")
    own, judged, _ = stratified_split(labels, (*shares, 1 - sum(shares)), np.random.default_rng(0))
    return ImageData(
        f"fashion-mnist, {train_images} to train, {validation_images} to judge",
        whole.classes,
        whole.class_names,
        Split(images[own], labels[own]),
        Split(images[judged], labels[judged]),
        whole.test,
    )


def arch(genes: Iterable[int]) -> str:
    """The name of an architecture: a digit for each choice."""
    return "".join(map(str, genes))


def every_genotype() -> list[tuple[int, ...]]:
    """All architectures of the space, one genotype each."""
    own = space(SPACE)
    genes = np.array(list(np.ndindex(*own.cardinalities)), dtype=np.int64)
    found = sorted({tuple(int(g) for g in row) for row in own.canonical(genes)})
    assert len(found) == own.size
    return found


_worker: dict[str, Any] = {}


def start_worker(given: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    _worker["data"] = subset(given.data, given.train_images, given.validation_images)
    _worker["device"], _worker["epochs"] = given.device, given.epochs


def trained(task: Task) -> dict[str, Any]:
    """One training to the end; one that diverges is recorded as that."""
    genes, seed = task
    network = Network(space(SPACE).decode(genes), seed=seed).to(_worker["device"])
    recipe = Recipe(**{**RECIPE.to_json(), "seed": seed, "epochs": _worker["epochs"]})
    found: dict[str, Any] = {"genes": list(genes), "seed": seed}
    begin = time.process_time()
    try:
        result = train(network, _worker["data"], recipe)
    except DivergedError as error:
        return {**found, "failure": str(error)}
    return {
        **found,
        "validation": round(result.accuracy, 5),
        "test": round(result.test_accuracy or 0.0, 5),
        "curve": [round(epoch.accuracy, 4) for epoch in result.curve],
        "loss": [round(epoch.loss, 4) for epoch in result.curve],
        # Of the processor, not of the clock: other work beside it does not count.
        "cpu_s": round(time.process_time() - begin, 2),
    }


def header(data: ImageData, given: argparse.Namespace) -> dict[str, Any]:
    """What all trainings of a file have in common."""
    return {
        "schema": SCHEMA,
        "space": space(SPACE).describe(),
        "data": data.name,
        "images": data.digest,
        "recipe": {**RECIPE.to_json(), "epochs": given.epochs, "seed": "as in the line"},
    }


def read(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Header and trainings; a torn last line is dropped."""
    payload = path.read_bytes()
    lines = payload[: payload.rfind(b"\n") + 1].splitlines()
    if len(lines) and len(b"\n".join(lines)) + 1 < len(payload):
        write_text(path, b"\n".join(lines).decode() + "\n")
    first, *rest = [json.loads(line) for line in lines] or [{}]
    return first, rest


def machine(device: str) -> dict[str, str]:
    gpu = torch.cuda.get_device_name(0) if device == "cuda" else None
    return {"device": gpu or platform.processor() or platform.machine(), "torch": torch.__version__}


def text(value: dict[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":")) + "\n"


def run_train(given: argparse.Namespace) -> None:
    path = Path(given.out)
    own = header(subset(given.data, given.train_images, given.validation_images), given)
    done: list[dict[str, Any]] = []
    if path.exists() and path.stat().st_size:
        first, done = read(path)
        differing = [name for name in own if first.get(name) != own[name]]
        if differing:
            raise RequestError(
                f"'{path}' is of other trainings: {', '.join(differing)} differ; move it away"
            )
    else:
        append_text(path, text({**own, "machine": machine(given.device)}))
    known = {(tuple(row["genes"]), row["seed"]) for row in done}
    genotypes = every_genotype()[: given.first or None]
    tasks = [(g, s) for s in range(SEEDS) for g in genotypes if (g, s) not in known]
    begin, said = time.monotonic(), 0.0
    context = multiprocessing.get_context("spawn")
    with context.Pool(given.workers, start_worker, (given,)) as pool:
        for count, row in enumerate(pool.imap_unordered(trained, tasks), 1):
            append_text(path, text(row))
            done.append(row)
            spent = time.monotonic() - begin
            if spent - said > 5 or count == len(tasks):
                said, left = spent, spent / count * (len(tasks) - count)
                print(f"{count} of {len(tasks)} trained, {left:.0f} s left", file=sys.stderr)
    first, _ = read(path)
    done.sort(key=lambda row: (row["genes"], row["seed"]))
    write_text(path, text(first) + "".join(map(text, done)))


def run_compile(given: argparse.Namespace) -> None:
    _, rows = read(Path(given.out))
    own = space(SPACE)
    by_genes: dict[tuple[int, ...], list[dict[str, Any]]] = {}
    for row in rows:
        by_genes.setdefault(tuple(row["genes"]), []).append(row)
    folder = Path(given.out).parent
    columns = other_columns(folder)
    with (folder / "table.csv").open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        accuracies = [
            f"{split}_{seed}" for split in ("validation", "test") for seed in range(SEEDS)
        ]
        writer.writerow(
            ["arch", *[c.name for c in own.choices], "macs", "parameters", "validation", "test"]
            + [*accuracies, *columns]
        )
        for genes, seen in sorted(by_genes.items()):
            seen.sort(key=lambda row: row["seed"])
            architecture = own.decode(genes)
            values = [[row.get(split, "") for row in seen] for split in ("validation", "test")]
            if any("failure" in row for row in seen) or len(seen) < SEEDS:
                means = ["", ""]
            else:
                means = [round(statistics.mean(column), 5) for column in values]
            writer.writerow(
                [arch(genes), *own.values(genes).values()]
                + [architecture.macs, architecture.parameters, *means, *values[0], *values[1]]
                + [column.get(arch(genes), "") for column in columns.values()]
            )


def other_columns(folder: Path) -> dict[str, dict[str, float]]:
    """By the name of a column, the values of architectures: measured latencies, then scores."""
    found: dict[str, dict[str, float]] = {}
    for path in sorted(folder.glob("latency-*.json")):
        whole = json.loads(path.read_text())
        found[f"{whole['runtime']}_ms"] = {
            name: latency_ms for name, (latency_ms, *_) in whole["latency_ms"].items()
        }
    if (folder / "scores.jsonl").exists():
        for row in read(folder / "scores.jsonl")[1]:
            if row["estimator"] not in ("macs", "parameters"):
                value = "" if row["value"] is None else float(f"{row['value']:.6g}")
                found.setdefault(row["estimator"], {})[arch(row["genotype"])] = value
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("what", choices=("train", "compile"))
    parser.add_argument("--data", default="/usr/share/datasets/fashion-mnist", help="IDX folder")
    parser.add_argument("--out", default=str(FOLDER / "trials.jsonl"), help="JSON lines")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--epochs", type=int, default=RECIPE.epochs, help="for trying it out")
    parser.add_argument("--first", type=int, default=0, help="only so many architectures")
    parser.add_argument("--train-images", type=int, default=TRAIN_IMAGES)
    parser.add_argument("--validation-images", type=int, default=VALIDATION_IMAGES)
    given = parser.parse_args()
    try:
        {"train": run_train, "compile": run_compile}[given.what](given)
    except HwnasError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
