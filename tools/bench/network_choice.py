"""What choosing the networks to fit on is worth, on simulated devices with a known truth.

.venv/bin/python tools/bench/network_choice.py > docs/figures/network_choice.json

For each seed the residual of a predictor is fitted on the networks of a plan: once those that
tell most, once the next of the random sequence. Both are judged on the same networks, which are
uniform samples of the space. Parts are known to 0.5 %, a network's number to 1 %. Nothing is
timed; `tools/bench/profiling_cost.py` does the same with networks that were measured.
"""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from simulated import engine

from hwnas.export.bags import SpaceBags
from hwnas.export.layers_onnx import architecture_to_onnx
from hwnas.kernels import Kernel
from hwnas.predictors.boosting import Floats
from hwnas.predictors.conformal import conformal_quantile
from hwnas.predictors.features import SUMS, bag_features, bag_sums
from hwnas.predictors.residual import Residual
from hwnas.profiling.plan import PlannedNetwork, plan_networks
from hwnas.spaces import space
from hwnas.targets import agent

DEVICES = (
    ("resnet-32", 4096),
    ("mobilenet-32", 4096),
    ("mobilenet-32", 256),
    ("mobilenet:image_size=64", 1024),
)
"""Spaces, and sizes of the cache, KiB: one that does not hold the networks is hard to predict."""

COUNTS = (9, 15, 24, 30, 45)
SEEDS = 10
JUDGED = 400
PART_ERROR, NETWORK_ERROR = 0.005, 0.01
LEVEL = 0.9


class Device:
    """The truth of a simulated device about a space."""

    def __init__(self, name: str, cache_kib: int) -> None:
        self._engine = engine({"cache_kib": cache_kib})
        self.bags = SpaceBags(space(name), "simulated")
        self._known: dict[str, float] = {}

    def latency_ms(self, network: PlannedNetwork) -> float:
        """The true latency."""
        if network.key not in self._known:
            model = architecture_to_onnx(network.architecture)
            self._known[network.key] = self._engine.model_ns(model) / 1e6
        return self._known[network.key]

    def sums(self, networks: Sequence[PlannedNetwork], rng: np.random.Generator) -> Floats:
        """Sums over the kernels of networks, at prices that are known with an error."""
        kernels: list[Kernel] = sorted({k for bag in self.bags.kernels for k in bag}, key=str)
        error = np.exp(rng.normal(0, PART_ERROR, len(kernels)))
        prices = {
            k: self._engine.kernel_ns(k) / 1e6 * e for k, e in zip(kernels, error, strict=True)
        }
        blocks = np.array([bag_sums(b, prices) for b in self.bags.kernels] + [[0.0] * len(SUMS)])
        genotypes = np.array([network.genotype for network in networks])
        found: Floats = blocks[self.bags.block_indices(genotypes)].sum(axis=1)
        return found

    def logs(self, networks: Sequence[PlannedNetwork], sums: Floats) -> Floats:
        """The logarithm of true latency over the sum of parts."""
        truth = np.array([self.latency_ms(network) for network in networks])
        return np.log(truth / (self._engine.CALL_NS / 1e6 + sums[:, 0]))


def replayed(device: Device) -> dict[str, Any]:
    """Errors on judged networks, and how often these stay below the predictor's upper bound."""
    # A sequence of its own, so that none of its networks was chosen for anything.
    judged = plan_networks(device.bags.space, JUDGED, 10**6)
    errors: dict[str, list[list[float]]] = {"informed": [], "random": []}
    below: dict[str, list[list[float]]] = {"informed": [], "random": []}
    for seed in range(SEEDS):
        for name, bags in (("informed", device.bags), ("random", None)):
            plan = plan_networks(device.bags.space, 4 * max(COUNTS) // 3, seed, bags)
            fitted = [network for network in plan if not network.judged]
            rng = np.random.default_rng(seed)
            sums = device.sums([*judged, *fitted], rng)
            logs = device.logs([*judged, *fitted], sums)
            features = bag_features(sums)
            logs[len(judged) :] += rng.normal(0, NETWORK_ERROR, len(fitted))
            rows = []
            for count in COUNTS:
                used = slice(len(judged), len(judged) + count)
                residual = Residual().fit(features[used], logs[used])
                off = logs[: len(judged)] - residual.predict(features[: len(judged)])
                bound = conformal_quantile(residual.out_of_fold_, LEVEL)
                rows.append((100 * np.abs(np.expm1(-off)).mean(), 100 * (off <= bound).mean()))
            errors[name].append([row[0] for row in rows])
            below[name].append([row[1] for row in rows])
    gain = np.array(errors["informed"]) / np.array(errors["random"])
    return {
        "networks_fitted_on": COUNTS,
        "mape_pct": {k: np.mean(v, axis=0).round(3).tolist() for k, v in errors.items()},
        "informed_over_random": gain.mean(axis=0).round(3).tolist(),
        "standard_error": (gain.std(axis=0, ddof=1) / SEEDS**0.5).round(3).tolist(),
        f"below_the_{LEVEL:.0%}_bound_pct".replace("%", ""): {
            k: np.mean(v, axis=0).round(1).tolist() for k, v in below.items()
        },
    }


def main() -> None:
    """Print the figures as JSON."""
    known = agent.conditions()
    result: dict[str, Any] = {
        "machine": {k: known[k] for k in ("cpu", "cores", "features", "memory_mib", "system")},
        "runtime": "simulated",
        "seeds": SEEDS,
        "judged_networks": JUDGED,
        "goal": "informed no worse than random",
    }
    for name, cache_kib in DEVICES:
        result[f"{name}, cache of {cache_kib} KiB"] = replayed(Device(name, cache_kib))
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
