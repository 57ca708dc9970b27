"""What a profiling session spends its time on, and what the informed order is worth.

.venv/bin/python tools/bench/profiling_cost.py FOLDER > docs/figures/profiling_cost.json

Profiles two spaces on this CPU until all of their parts are measured (FOLDER keeps
the profiles, so that the script goes on where it was stopped). Then it replays the
measurements in several orders: at each moment the predictor is fitted on what was
measured by then, and judged on measured networks that are left out of all fitting.
The time of a part is that of building it and of its inferences.

Its networks are random, so that those to fit on can be chosen again among them: by what they
tell, or at random (`tools/bench/network_choice.py` does so on simulated devices).
"""

import json
import os
import sys
from typing import Any

import numpy as np

from hwnas.errors import ProfileError
from hwnas.export.bags import SpaceBags
from hwnas.predictors import LatencyPredictor, evaluate
from hwnas.profiles import Device, DeviceProfile, Observation, ProfiledBags, Records
from hwnas.profiling import ProfilingSession
from hwnas.profiling.bags import profiled_bags
from hwnas.profiling.choice import most_telling, network_features
from hwnas.profiling.order import InformedOrder
from hwnas.profiling.plan import PartPlan
from hwnas.profiling.turns import Shares
from hwnas.runtimes import runtime
from hwnas.spaces import space
from hwnas.targets import LocalTarget

# Not mobilenet-32, on which the order's one constant was chosen.
SPACES = {
    "resnet": "resnet:image_size=64",
    "mobilenet": "mobilenet:image_size=64",
    "resnet-32": "resnet-32",
}
NETWORKS = 80
BUDGET_S = 180.0
SEEDS = 5
FITTED_ON = (12, 20, 30, 45)
POOL_SHARE = 0.75
"""Of the networks that are not judged: another pool to choose from for each seed."""

SHARES = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)


class Replay:
    """A finished profile, of which parts can be taken away."""

    def __init__(self, profile: DeviceProfile, text: str) -> None:
        self.records = profile.read()
        self.bags = profiled_bags(self.records, "onnxruntime")
        self.space_bags = SpaceBags(space(text))
        self.plan = PartPlan(self.space_bags, 0)
        self.parts: dict[str, list[Observation]] = {}
        self.base: list[Observation] = []
        for item in self.records.observations:
            if item.failure is None and item.key.startswith(("block:", "kernel:")):
                self.parts.setdefault(item.key, []).append(item)
            else:
                self.base.append(item)
        self.keys = sorted(self.parts)
        self.seconds = {
            key: sum(item.build_ms + item.rounds * 7 * item.median_ms for item in items) / 1e3
            for key, items in self.parts.items()
        }

    def measured(self, keys: list[str]) -> Records:
        """The records with only some of the parts."""
        chosen = [item for key in keys for item in self.parts[key]]
        return Records(self.base + chosen, self.records.definitions, self.records.sessions)

    def error_pct(self, keys: list[str], bags: ProfiledBags | None = None) -> float:
        """Mean error on the networks that are left out; 100 where nothing can be fitted yet."""
        try:
            predictor = LatencyPredictor().fit(self.measured(keys), bags or self.bags)
        except ProfileError:
            return 100.0
        return float(evaluate(predictor, self.bags)["mape_pct"])

    def network_errors(self, seed: int, *, informed: bool) -> list[float]:
        """Errors when the predictor is fitted on so many networks of a random pool."""
        fitted = [network for network in self.bags.networks if not network.judged]
        judged = [network for network in self.bags.networks if network.judged]
        order = np.random.default_rng(seed).permutation(len(fitted))
        pool = [fitted[i] for i in order[: round(POOL_SHARE * len(fitted))]]
        if informed:
            definitions = self.records.definitions
            genotypes = [definitions[item.measurement.key]["genotype"] for item in pool]
            features = network_features(self.space_bags, np.array(genotypes))
            pool = [pool[i] for i in most_telling(features, max(FITTED_ON))]
        return [
            self.error_pct(self.keys, ProfiledBags(self.bags.block_kernels, pool[:count] + judged))
            for count in FITTED_ON
        ]

    def informed(self, seed: int) -> list[str]:
        """The order of a session, batch after batch."""
        order, done = InformedOrder(self.plan, seed), list[str]()
        while len(done) < len(self.keys):
            known = set(done)
            ranked = [k for k in order.ordered(self.measured(done), known) if k in self.parts]
            done += ranked[: Shares().batch_parts] or [key for key in self.keys if key not in known]
        return done

    def random(self, seed: int) -> list[str]:
        """Any order."""
        return [str(key) for key in np.random.default_rng(seed).permutation(self.keys)]

    def curve(self, order: list[str]) -> list[float]:
        """Errors when shares of the seconds are used up."""
        spent = np.cumsum([self.seconds[key] for key in order])
        return [
            self.error_pct(order[: int(np.searchsorted(spent, share * spent[-1] * 0.9999)) + 1])
            for share in SHARES
        ]


def reached(curve: np.ndarray, error: float) -> float:
    """The share of the seconds after which a curve stays at or below an error; linear between."""
    below = curve <= error
    for i in range(len(SHARES)):
        if below[i:].all() or (below[i] and below[i : i + 2].all()):
            if i == 0:
                return SHARES[0]
            step = (curve[i - 1] - error) / max(1e-12, curve[i - 1] - curve[i])
            return float(SHARES[i - 1] + step * (SHARES[i] - SHARES[i - 1]))
    return 1.0


def replayed(profile: DeviceProfile, text: str) -> dict[str, Any]:
    """Both orders' curves, and what the informed one saves."""
    replay = Replay(profile, text)
    curves = {}
    for name, order in (("informed", replay.informed), ("random", replay.random)):
        rows = []
        for seed in range(SEEDS):
            print(f"{text}: {name} order, seed {seed}", file=sys.stderr)
            rows.append(replay.curve(order(seed)))
        curves[name] = np.mean(rows, axis=0)
    found = {}
    for budget in (0.3, 0.5, 0.8):
        final = float(curves["random"][SHARES.index(budget)])
        share = reached(curves["informed"], final) / budget
        found[f"{budget:g}"] = {
            "random_final_mape_pct": round(final, 3),
            "informed_share_of_those_seconds": round(share, 3),
        }
    return {
        "parts": len(replay.keys),
        "judged_networks": sum(network.judged for network in replay.bags.networks),
        "shares_of_the_seconds": SHARES,
        "mape_pct": {name: [round(v, 3) for v in curve] for name, curve in curves.items()},
        "by_budget_as_share_of_all_seconds": found,
    }


def networks_replayed(profile: DeviceProfile, text: str) -> dict[str, Any]:
    """Errors by the number of networks that are fitted on, chosen in two ways."""
    replay = Replay(profile, text)
    errors = {
        name: np.mean(
            [replay.network_errors(seed, informed=name == "informed") for seed in range(SEEDS)],
            axis=0,
        )
        for name in ("informed", "random")
    }
    return {
        "networks_fitted_on": FITTED_ON,
        "mape_pct": {name: [round(v, 3) for v in row] for name, row in errors.items()},
    }


def spent(profile: DeviceProfile, wall: float) -> dict[str, float]:
    """Where the wall time of a session went."""
    records = profile.read()
    worker = sum(item["seconds"] for item in records.sessions.values())
    inference = sum(item["inference_s"] for item in records.sessions.values())
    building = sum(i.build_ms for i in records.observations if i.failure is None) / 1e3
    return {
        "wall_seconds": round(wall, 1),
        "processes": len(records.sessions),
        "worker_seconds": round(worker, 1),
        "inference_seconds": round(inference, 1),
        "building_seconds": round(building, 1),
        "inference_share_of_wall": round(inference / wall, 3),
        "inference_and_building_share_of_wall": round((inference + building) / wall, 3),
    }


def profiled(name: str, text: str, target: LocalTarget) -> tuple[DeviceProfile, float]:
    """A space's profile, finished, and the seconds that it took."""
    known = name in DeviceProfile.names()
    profile = DeviceProfile.open(name) if known else DeviceProfile.create(Device(name))
    wall_file = profile.folder / "wall.json"
    if not wall_file.exists():
        print(f"{text}: profiling", file=sys.stderr)
        wall = ProfilingSession(
            profile, target, space(text), budget_s=BUDGET_S, networks=NETWORKS, informed=False
        ).run()
        wall_file.write_text(json.dumps(wall))
    return profile, float(json.loads(wall_file.read_text()))


def main() -> None:
    os.environ["HWNAS_PROFILES"] = sys.argv[1]
    target = LocalTarget(runtime("onnxruntime"), 1)
    # All that is timed comes first; the machine may do other things while the rest is replayed.
    profiles = {name: profiled(name, text, target) for name, text in SPACES.items()}
    print("all profiles are finished", file=sys.stderr)
    result: dict[str, Any] = {}
    for name, (profile, wall) in profiles.items():
        result[SPACES[name]] = {
            **spent(profile, wall),
            "order": replayed(profile, SPACES[name]),
            "choice_of_networks": networks_replayed(profile, SPACES[name]),
        }
    conditions = next(iter(profile.read().sessions.values()))
    machine = {k: conditions[k] for k in ("cpu", "cores", "features", "memory_mib", "system")}
    print(
        json.dumps(
            {
                "machine": machine,
                "runtime": f"{conditions['runtime']} {conditions['version']}",
                "goals": "inference share 0.7; informed order at most 0.5 of the seconds",
                "spaces": result,
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
