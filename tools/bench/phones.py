"""Prices of whole networks on six phones' GPUs, from the operators of other networks.

.venv/bin/python tools/bench/phones.py FOLDER > docs/figures/phones.json

FOLDER holds `tflite_gpu_ops_us.csv.gz` (mobile-ml-benchmark, Li et al., 2024): every GPU
operator of real networks, microseconds. A network is the sum of its operators. Each is left
out in turn (in folds over networks) and priced by the others' operators: one of the same kind and
shape costs the median of what it did, any other what trees say on the logarithm of latency per
work. Besides whole families are left out, since variants of one family share shapes. Baselines
are fitted to the same other networks in relative error.
"""

import ast
import csv
import gzip
import json
import platform
import re
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hwnas.predictors.boosting import BoostedTrees, Floats
from hwnas.predictors.metrics import accuracy

GOAL_PCT = 15.0
FOLDS = 10
KINDS = (
    "CONV_2D",
    "CONV_2D_GROUP",
    "DEPTHWISE_CONV_2D",
    "FULLY_CONNECTED",
    "AVERAGE_POOL_2D",
    "MAX_POOL_2D",
    "MEAN",
    "CONCATENATION",
)
GROUPED, DEPTHWISE = KINDS[1], KINDS[2]
VARIANTS = re.compile(
    r"(mobilenet(?:v2b?|v3|b)?|fdmobilenet|densenet|efficientnet|hardnet|hrnet|mnasnet|proxylessnas"
    r"|regnet|sepreresnet|seresnet|preresnet|resnet|resnext|squeezenet|squeezeresnet)"
)
KIN = {
    **dict.fromkeys(("mobilenetb", "fdmobilenet"), "mobilenet"),
    **dict.fromkeys(("sepreresnet", "seresnet", "preresnet", "resnext"), "resnet"),
    "mobilenetv2b": "mobilenetv2",
    "squeezeresnet": "squeezenet",
    "spnasnet": "mnasnet",
}
"""Families whose networks are of the same shapes: they leave together."""


@dataclass(frozen=True)
class Operator:
    """One operator of one network."""

    network: str
    key: tuple[Any, ...]
    features: tuple[float, ...]
    macs: float
    elements: float
    latency_us: tuple[float, ...]

    @property
    def work(self) -> float:
        """Million operations: MACs plus a share of the elements moved, as for kernels."""
        return (self.macs + self.elements / 10 + 1000) / 1e6


def family(network: str) -> str:
    """The family of a network, by how its name begins."""
    found = VARIANTS.match(network)
    name = found.group(1) if found else network
    return KIN.get(name, name)


def read(path: Path) -> tuple[list[str], list[Operator]]:
    """The phones and all operators. What a phone's compiler calls them is not looked at."""
    with gzip.open(path, "rt", newline="") as stream:
        rows = list(csv.DictReader(stream))
    phones = [name.split("|")[0] for name in rows[0] if name.endswith("|float")]
    return phones, [_operator(row, phones) for row in rows]


def _operator(row: dict[str, str], phones: Sequence[str]) -> Operator:
    shape = {k: _number(v) for k, v in ast.literal_eval(row["feature"]).items()}
    kind = row["operation"]
    side, out = max(1.0, shape["Input_shape"]), max(1.0, shape["Output_shape"])
    if kind == "MEAN":
        out = 1.0
    kernel, stride = max(1.0, shape["Kernel"]), max(1.0, shape["Stride"])
    channels, filters = shape["Input_channel"], shape["Filter"]
    groups = max(1.0, shape["Group"])
    if kind in ("CONV_2D", GROUPED, "FULLY_CONNECTED"):
        made = filters
        macs = made * out**2 * channels / groups * (kernel**2 if kind != "FULLY_CONNECTED" else 1)
        weights = macs / out**2
    else:
        made = filters if kind == "CONCATENATION" else channels
        macs = made * out**2 * kernel**2 if kind != "CONCATENATION" else 0.0
        macs = made * side**2 if kind == "MEAN" else macs
        weights = made * kernel**2 if kind == DEPTHWISE else 0.0
    read_in = made if kind == "CONCATENATION" else channels
    elements = read_in * side**2 + made * out**2 + weights
    work = (macs + elements / 10 + 1000) / 1e6
    features = (
        np.log(work),
        np.log1p(macs),
        np.log1p(elements),
        np.log((macs + 1) / (elements + 1)),
        np.log1p(weights),
        float(KINDS.index(kind)),
        side,
        out,
        out**2 % 16,
        channels,
        made,
        channels % 16,
        made % 16,
        kernel,
        stride,
        groups,
        channels / groups,
        np.log(out**2 * made),
    )
    return Operator(
        row["model"],
        (kind, *sorted(shape.items())),
        tuple(map(float, features)),
        macs,
        elements,
        tuple(float(row[f"{phone}|gpu|float"]) for phone in phones),
    )


def _number(value: object) -> float:
    try:
        return float(str(value))
    except ValueError:
        return 0.0


def priced(known: Sequence[Operator], asked: Sequence[Operator], phone: int) -> tuple[Floats, int]:
    """Microseconds of operators ``(n,)``, and how many of them the table holds."""
    table: dict[tuple[Any, ...], list[float]] = defaultdict(list)
    for item in known:
        table[item.key].append(item.latency_us[phone])
    distinct = {item.key: item for item in known}
    work = np.array([item.work for item in distinct.values()])
    medians = np.array([np.median(table[key]) for key in distinct])
    trees = BoostedTrees(trees=400, depth=6, rate=0.06).fit(
        np.array([item.features for item in distinct.values()]), np.log(medians / work)
    )
    modelled = trees.predict(np.array([item.features for item in asked]))
    prices = np.array([item.work for item in asked]) * np.exp(modelled)
    for index, item in enumerate(asked):
        if item.key in table:
            prices[index] = np.median(table[item.key])
    return prices, sum(item.key in table for item in asked)


def relative_line(features: Floats, target: Floats) -> Floats:
    """Weights of a line, ``(k,)``, least squares of the relative error."""
    weights: Floats = np.linalg.lstsq(features / target[:, None], np.ones(len(target)), rcond=None)[
        0
    ]
    return weights


def judged(operators: Sequence[Operator], groups: dict[str, int], phone: int) -> dict[str, Any]:
    """Errors on networks, each priced by networks of other groups."""
    names = sorted(groups)
    by_network: dict[str, list[Operator]] = defaultdict(list)
    for item in operators:
        by_network[item.network].append(item)
    truth = np.array([sum(o.latency_us[phone] for o in by_network[n]) for n in names])
    totals = np.array(
        [
            [
                sum(o.macs for o in by_network[n]),
                sum(o.elements for o in by_network[n]),
                len(by_network[n]),
                1,
            ]
            for n in names
        ],
        dtype=float,
    )
    totals /= totals.mean(axis=0)
    found = {name: np.zeros(len(names)) for name in ("ours", "flops", "linear")}
    in_table = asked_count = 0
    for group in sorted(set(groups.values())):
        out = np.array([groups[name] == group for name in names])
        known = [
            o for n, is_out in zip(names, out, strict=True) if not is_out for o in by_network[n]
        ]
        asked = [o for n, is_out in zip(names, out, strict=True) if is_out for o in by_network[n]]
        prices, hits = priced(known, asked, phone)
        in_table, asked_count = in_table + hits, asked_count + len(asked)
        sums: dict[str, float] = defaultdict(float)
        for item, price in zip(asked, prices, strict=True):
            sums[item.network] += float(price)
        found["ours"][out] = [sums[n] for n, is_out in zip(names, out, strict=True) if is_out]
        for name, columns in (("flops", [0, 3]), ("linear", [0, 1, 2, 3])):
            weights = relative_line(totals[~out][:, columns], truth[~out])
            # A line may leave what is possible: a network takes no less than the fastest known.
            found[name][out] = np.maximum(totals[out][:, columns] @ weights, truth[~out].min())
    rows = {name: accuracy(values, truth).to_json() for name, values in found.items()}
    mape = rows["ours"]["mape_pct"]
    return {
        **rows.pop("ours"),
        "goal_met": bool(mape <= GOAL_PCT),
        "operators_in_table_pct": round(100 * in_table / asked_count, 1),
        "baselines": rows,
    }


def main() -> None:
    """Print the figures as JSON."""
    phones, operators = read(Path(sys.argv[1]) / "tflite_gpu_ops_us.csv.gz")
    networks = sorted({item.network for item in operators})
    order = np.random.default_rng(0).permutation(len(networks))
    folds = {name: int(order[i]) % FOLDS for i, name in enumerate(networks)}
    families = sorted({family(name) for name in networks})
    by_family = {name: families.index(family(name)) for name in networks}
    result: dict[str, Any] = {
        "data": "mobile-ml-benchmark (Li et al., 2024), GPU, float; networks as sums of operators",
        "python": platform.python_version(),
        "networks": len(networks),
        "operators": len(operators),
        "goal": f"MAPE of at most {GOAL_PCT:.0f} % on every phone, network left out",
    }
    for label, groups in (
        (f"network_left_out_{FOLDS}_folds", folds),
        (f"family_left_out_{len(families)}_families", by_family),
    ):
        rows = {}
        for index, phone in enumerate(phones):
            print(f"{label} {phone}", file=sys.stderr)
            rows[phone] = judged(operators, groups, index)
        result[label] = rows
        result[label + "_goal_met_on_every_phone"] = all(row["goal_met"] for row in rows.values())
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
