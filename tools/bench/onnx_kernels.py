"""Where the errors of other people's files come from: the prices of kernels, or their sum.

python tools/bench/onnx_kernels.py measure DEVICE > docs/figures/onnx_kernels.json
python tools/bench/onnx_kernels.py price DEVICE MEASURED KERNELS > docs/figures/onnx_errors.json

``measure`` measures every kernel of the files of ``onnx_files.py`` that the profile lacks, in a
copy of the profile: the profile itself knows nothing of them. ``price``, given what ``onnx_files.py
measure`` and ``measure`` printed, compares each file's price from the profile with the same price
when these kernels stand in the table: what is left of the error is what sums of parts miss, and
the rest is the kernel model's. By kind of kernel: its share of the sum as measured, and by how much
of the sum the model is off.
"""

import copy
import json
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from onnx_files import models

from hwnas.cli.common import progress, target_of
from hwnas.errors import HwnasError
from hwnas.export.bags import fusion_rules
from hwnas.export.parts_onnx import kernel_part
from hwnas.kernels import Kernel, lower
from hwnas.predictors import LatencyPredictor
from hwnas.predictors.parts import part_prices
from hwnas.profiles import DeviceProfile
from hwnas.profiling.bags import profiled_bags
from hwnas.profiling.plan import base_parts
from hwnas.profiling.protocol import Protocol
from hwnas.profiling.visit import visit

BATCH, MOST_S = 150, 120.0


def bags(fusion: str) -> dict[str, Counter[Kernel]]:
    """The kernels of each file."""
    with tempfile.TemporaryDirectory() as folder:
        rules = fusion_rules(fusion)
        return {
            title: lower(proto, rules, name=title).kernels
            for _, title, proto in models(Path(folder))
        }


def measure(name: str) -> dict[str, Any]:
    """What the kernels take that the profile lacks."""
    own = DeviceProfile.open(name)
    wanted = sorted({kernel.key for bag in bags(own.fusion()).values() for kernel in bag})
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(own.folder, Path(folder) / name)
        os.environ["HWNAS_PROFILES"] = folder
        profile = DeviceProfile.open(name)
        records = profile.read()
        done = set(records.session_counts())
        parts = [
            part
            for key in wanted
            if f"kernel:{key}" not in done
            and (part := kernel_part(Kernel.from_key(key))) is not None
        ]
        asked = {part.key for part in parts}
        with progress(f"measuring {len(parts)} kernels") as bar:
            for start in range(0, len(parts), BATCH):
                batch = parts[start : start + BATCH]
                batch += base_parts((shape for part in batch for shape in part.edges), done)
                seen = visit(
                    profile,
                    target_of(profile),
                    {part.key: part.model for part in batch},
                    session=f"s{records.next_session():04d}",
                    protocol=Protocol(),
                    seed=start,
                    until=time.monotonic() + MOST_S,
                    definitions={
                        part.key: {"edges": [list(shape) for shape in part.edges]} for part in batch
                    },
                    quiet_ms=records.quiet_canary_ms() or None,
                )
                done |= {item.key for item in seen}
                records = profile.read()
                bar.update(min(1.0, (start + BATCH) / len(parts)))
        _, prices = part_prices(records)
        conditions = next(reversed(records.sessions.values()))
    return {
        "machine": {key: conditions[key] for key in ("cpu", "cores", "memory_mib")},
        "runtime": f"{conditions['runtime']} {conditions['version']}",
        "kernels_of_the_files": len(wanted),
        "in_the_profile": sum(f"kernel:{key}" not in asked for key in wanted),
        "ms": {
            key.removeprefix("kernel:"): round(prices[key], 6)
            for key in sorted(asked)
            if key in prices
        },
    }


def price(name: str, measured: dict[str, Any], known: dict[str, float]) -> dict[str, Any]:
    """Errors with the model's prices and with those that were measured."""
    profile = DeviceProfile.open(name)
    records = profile.read()
    predictor = LatencyPredictor().fit(records, profiled_bags(records, profile.device.runtime))
    modelled = predictor.kernels_
    told = replace_table(predictor, {**modelled.table_, **known})
    rows, kinds = [], {}
    for title, bag in bags(profile.fusion()).items():
        if title not in measured["networks"]:
            continue
        real = measured["networks"][title]["latency_ms"]
        said, with_own = (item.predict_bag(bag, 0).latency_ms for item in (predictor, told))
        before, after = modelled.prices_ms(bag), told.kernels_.prices_ms(bag)
        total = sum(count * after[kernel] for kernel, count in bag.items())
        share: Counter[str] = Counter()
        off: Counter[str] = Counter()
        for kernel, count in bag.items():
            kind = f"{kernel.op}/{kernel.family}"
            share[kind] += 100 * count * after[kernel] / total
            off[kind] += 100 * count * (before[kernel] - after[kernel]) / total
        rows.append(
            {
                "network": title,
                "error_pct": round(100 * (said / real - 1), 1),
                "error_with_its_kernels_measured_pct": round(100 * (with_own / real - 1), 1),
                "kernels_measured_pct": round(
                    100
                    * sum(n for k, n in bag.items() if k.key in told.kernels_.table_)
                    / bag.total(),
                    1,
                ),
                "model_off_by_kind_pct": {
                    kind: [round(share[kind], 1), round(off[kind], 1)]
                    for kind in sorted(off, key=lambda kind: -abs(off[kind]))[:5]
                },
            }
        )
        for kind in share:
            kinds.setdefault(kind, []).append((share[kind], off[kind]))
    means = {
        key: round(float(np.mean([abs(row[key]) for row in rows])), 2)
        for key in ("error_pct", "error_with_its_kernels_measured_pct")
    }
    return {
        "machine": measured["machine"],
        "runtime": measured["runtime"],
        "device": name,
        "mape": means,
        "kinds": {
            kind: {
                "files": len(found),
                "share_of_the_sum_pct": round(float(np.sum([s for s, _ in found]) / len(rows)), 2),
                "model_off_pct": round(float(np.sum([o for _, o in found]) / len(rows)), 2),
            }
            for kind, found in sorted(
                kinds.items(), key=lambda item: -sum(share for share, _ in item[1])
            )[:20]
        },
        "networks": rows,
    }


def replace_table(predictor: LatencyPredictor, table: dict[str, float]) -> LatencyPredictor:
    """The same predictor with more kernels in its table, its trees and residual as they are."""
    other, other_kernels = copy.copy(predictor), copy.copy(predictor.kernels_)
    other_kernels.table_ = table
    other_kernels.__dict__.pop("kinds", None)
    other.kernels_ = other_kernels
    return other


def main() -> None:
    job, name, *rest = sys.argv[1:]
    try:
        if job == "measure":
            found = measure(name)
        else:
            measured, kernels = (json.loads(Path(path).read_text()) for path in rest)
            found = price(name, measured, kernels["ms"])
    except HwnasError as error:
        raise SystemExit(str(error)) from None
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
