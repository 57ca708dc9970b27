"""Few-shot transfer by HELP's protocol: rank correlation on six devices never tuned on.

.venv/bin/python tools/bench/transfer.py FOLDER > docs/figures/transfer.json

FOLDER holds `nb201_latency_ms.csv.gz`: the latencies of all NAS-Bench-201 architectures on the
devices of HELP (Lee et al., NeurIPS 2021), Table 3. Samples are random by seed. Judged on all
architectures that were not sampled. Baselines in the same run: FLOPs, the best single reference by
the samples, the median of the references, and a plain Gaussian process on references and counts.
"""

import json
import platform
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

from hwnas.cli.bench import transferred
from hwnas.cli.tables import read_table
from hwnas.predictors.boosting import Floats
from hwnas.predictors.cells import cell_costs, cell_features, cell_macs

REFERENCES = [
    *("1080ti_1", "1080ti_32", "1080ti_256", "silver_4114", "silver_4210r"),
    *("samsung_a50", "pixel3", "essential_ph_1", "samsung_s7"),
]
TARGETS = ["titan_rtx_256", "gold_6226", "fpga", "pixel2", "raspi4", "eyeriss"]
PUBLISHED = {"HELP, 10 samples": 0.932, "BRP-NAS, 900 samples": 0.789, "FLOPs": 0.787}
GOALS = {5: 0.93, 10: 0.96}
COUNTS = (5, 10, 20, 50)
SEEDS = 10


def plain_process(features: Floats, truth: Floats, samples: int) -> float:
    """Mean Spearman of scikit-learn's process with one length scale, on standardised features."""
    unit = (features - features.mean(axis=0)) / np.maximum(features.std(axis=0), 1e-9)
    scores = []
    for seed in range(SEEDS):
        own = np.random.default_rng(seed).choice(len(truth), samples, replace=False)
        logs = np.log(truth[own])
        kernel = ConstantKernel(1.0) * RBF(5.0, (1.0, 100.0)) + WhiteKernel(0.01, (1e-4, 1.0))
        process = GaussianProcessRegressor(kernel, normalize_y=True, random_state=0)
        with warnings.catch_warnings():
            # A length or a noise at the end of its range is a result here, not a fault.
            warnings.simplefilter("ignore", ConvergenceWarning)
            process.fit(unit[own], logs)
        left = np.setdiff1d(np.arange(len(truth)), own)
        predicted = process.predict(unit[left])
        scores.append(float(spearmanr(predicted, truth[left]).statistic))
    return float(np.mean(scores))


def main() -> None:
    """Print the figures as JSON."""
    table = read_table(Path(sys.argv[1]) / "nb201_latency_ms.csv.gz")
    reference_ms = table.latencies_ms(REFERENCES)
    target_ms = table.latencies_ms(TARGETS)
    targets = dict(zip(TARGETS, target_ms.T, strict=True))
    cells = table.column("arch_str")
    features, macs, costs = cell_features(cells), cell_macs(cells), cell_costs(cells)
    plain = np.concatenate([np.log(reference_ms), features[0][:, :4]], axis=1)
    result: dict[str, Any] = {
        "data": "HELP's table of NAS-Bench-201 latencies (Lee et al., NeurIPS 2021), 15,625 cells",
        "protocol": "HELP's Table 3; Spearman over all that were not sampled",
        "tuned_on": "references and HELP's validation devices, each predicted without its family; "
        "the targets were looked at when the method was fixed",
        "python": platform.python_version(),
        "seeds": SEEDS,
        "references": REFERENCES,
        "published": PUBLISHED,
        "goals": {str(count): goal for count, goal in GOALS.items()},
    }
    for label, chosen in (("random_samples", False), ("chosen_samples", True)):
        rows: dict[str, Any] = {}
        for samples in COUNTS:
            print(f"{label} {samples}", file=sys.stderr)
            row = transferred(
                reference_ms,
                targets,
                features,
                macs,
                costs=costs,
                samples=samples,
                seeds=SEEDS,
                chosen=chosen,
            )
            if not chosen:
                scores = {n: plain_process(plain, truth, samples) for n, truth in targets.items()}
                row["baselines"]["plain_gaussian_process"] = {
                    "targets": {n: {"spearman_mean": round(v, 4)} for n, v in scores.items()},
                    "mean": round(float(np.mean(list(scores.values()))), 4),
                }
            if samples in GOALS:
                row["goal_met"] = row["mean"] >= GOALS[samples]
            rows[str(samples)] = row
        result[label] = rows
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
