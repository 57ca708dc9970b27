"""Which method of few-shot transfer: by the reference and validation devices of HELP alone.

.venv/bin/python tools/bench/transfer_choice.py FOLDER > docs/figures/transfer_choice.json

Each device is predicted in turn with no relative of it among the references (GPUs are relatives
of GPUs, Xeons of Xeons). No target of `tools/bench/transfer.py` is read. Mean Spearman over a
fixed random third of the architectures.
"""

import json
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import norm, rankdata, spearmanr
from sklearn.linear_model import RidgeCV

from hwnas.cli.tables import read_table
from hwnas.predictors.boosting import Floats
from hwnas.predictors.candidates import Candidates
from hwnas.predictors.cells import cell_costs, cell_features
from hwnas.predictors.priors import PLAIN, Prior
from hwnas.predictors.transfer import FewShot, choose

FAMILIES = {
    "GPU": ["1080ti_1", "1080ti_32", "1080ti_256", "titanx_1", "titanx_32", "titanx_256"],
    "Xeon": ["silver_4114", "silver_4210r", "gold_6240"],
    **{name: [name] for name in ("samsung_a50", "pixel3", "essential_ph_1", "samsung_s7")},
}
VALIDATION = ("titanx_1", "titanx_32", "titanx_256", "gold_6240")
COUNTS = (5, 10, 20)
SEEDS = 10
ARCHITECTURES = 5000

Method = Callable[[Floats, tuple[tuple[Floats, ...], ...], Any, Floats], Floats]


def _process(**settings: Any) -> Method:
    def predict(
        logs: Floats, known: tuple[tuple[Floats, ...], ...], own: Any, latency_ms: Floats
    ) -> Floats:
        features, costs = known
        candidates = Candidates(
            logs if settings.get("references", True) else None,
            features if settings.get("features", True) else (),
            costs if settings.get("features", True) else (),
        )
        model = FewShot(settings["priors"]) if "priors" in settings else FewShot()
        return model.fit(candidates, own, latency_ms).predict()

    return predict


def _ridge(
    logs: Floats, known: tuple[tuple[Floats, ...], ...], own: Any, latency_ms: Floats
) -> Floats:
    """Ridge regression on the references' normal quantiles and the counts."""
    quantiles = [norm.ppf((rankdata(column) - 0.5) / len(column)) for column in logs.T]
    counts = known[0][0]
    spread = np.maximum(counts.std(axis=0), 1e-9)
    rows = np.concatenate([np.stack(quantiles, axis=1), (counts - counts.mean(axis=0)) / spread], 1)
    fitted = RidgeCV(np.logspace(-2, 3, 11)).fit(rows[own], np.log(latency_ms))
    return np.asarray(np.exp(fitted.predict(rows)))


def _mean_rank(
    logs: Floats, known: tuple[tuple[Floats, ...], ...], own: Any, latency_ms: Floats
) -> Floats:
    """The references' mean rank: what any rising function of it would give."""
    return np.asarray(np.mean([rankdata(column) for column in logs.T], axis=0))


def _blend(
    logs: Floats, known: tuple[tuple[Floats, ...], ...], own: Any, latency_ms: Floats
) -> Floats:
    one, other = (m(logs, known, own, latency_ms) for m in (_process(), _ridge))
    return np.asarray(np.sqrt(one * other))


METHODS: dict[str, Method] = {
    "around_imagined_devices": _process(),
    "averaged_processes": _process(priors=PLAIN),
    "one_process": _process(priors=(Prior(),)),
    "averaged_processes_references_only": _process(features=False),
    "averaged_processes_features_only": _process(references=False),
    "ridge_on_quantiles_and_counts": _ridge,
    "mean_of_ours_and_ridge": _blend,
    "mean_rank_of_references": _mean_rank,
}


def main() -> None:
    """Print the figures as JSON."""
    table = read_table(Path(sys.argv[1]) / "nb201_latency_ms.csv.gz")
    family = {name: key for key, names in FAMILIES.items() for name in names}
    devices = list(family)
    kept = np.random.default_rng(0).permutation(table.rows)[:ARCHITECTURES]
    logs = np.log(table.latencies_ms(devices)[kept])
    cells = table.column("arch_str")
    features, costs = (
        tuple(part[kept] for part in parts) for parts in (cell_features(cells), cell_costs(cells))
    )
    found: dict[str, dict[str, dict[str, float]]] = {}
    chosen: dict[str, dict[str, float]] = {str(count): {} for count in COUNTS}
    for position, device in enumerate(devices):
        print(device, file=sys.stderr)
        lent = [
            i
            for i, other in enumerate(devices)
            if family[other] != family[device] and other not in VALIDATION
        ]
        truth, references = np.exp(logs[:, position]), logs[:, lent]
        candidates = Candidates(references, features, costs)
        for count in COUNTS:
            draws = [
                np.random.default_rng(seed).choice(ARCHITECTURES, count, replace=False)
                for seed in range(SEEDS)
            ]
            for name, method in METHODS.items():
                scores = [
                    spearmanr(
                        method(references, (features, costs), own, truth[own]), truth
                    ).statistic
                    for own in draws
                ]
                row = found.setdefault(name, {}).setdefault(str(count), {})
                row[device] = round(float(np.mean(scores)), 4)
            own = choose(candidates, count)
            predicted = FewShot().fit(candidates, own, truth[own]).predict()
            chosen[str(count)][device] = round(float(spearmanr(predicted, truth).statistic), 4)
    found["around_imagined_devices_chosen_samples"] = chosen
    result = {
        "data": "HELP's table of NAS-Bench-201 latencies (Lee et al., NeurIPS 2021)",
        "protocol": "each reference or validation device from references of other families",
        "python": platform.python_version(),
        "seeds": SEEDS,
        "architectures": ARCHITECTURES,
        "mean_spearman": {
            name: {count: round(float(np.mean(list(own.values()))), 4) for count, own in by.items()}
            for name, by in found.items()
        },
        "by_device": found,
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
