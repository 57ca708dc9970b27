"""What children inherit, and what it is worth on digits.

.venv/bin/python tools/bench/inherit.py moves > docs/figures/inherit_moves.json
.venv/bin/python tools/bench/inherit.py norms > docs/figures/inherit_norms.json
.venv/bin/python tools/bench/inherit.py worth > docs/figures/inherit_worth.json

``moves``: PARENTS random networks of each space with weights and statistics as trained ones
have them. All neighbours of each (one choice changed), and MUTANTS mutants (each gene redrawn
with a probability of 0.1, as evolution does), where they are other architectures: how many
compute what their parent does, by what moved and in which direction; the worst deviation of
those that say so and the least of those that do not, as shares of the largest logit (at
least 1), float32.

``norms``: blocks are added that are the identity, to networks whose running statistics are
those of the batch. By how much the logits then change in training mode, as a share of their
spread, with the moments that new norms expect and with those of a new network.

``worth``: PAIRS random parents of each of two spaces are trained for LONG epochs on digits.
A mutant of each (each gene redrawn with a probability of 0.2) is trained for SHORT epochs from
scratch and from its parent's weights, at several shares of the learning rate, and for LONG
epochs from scratch, which is what the short trainings are to foretell. Mean validation
accuracy; mean absolute difference to LONG.
"""

import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from trained_networks import deviation, trained

from hwnas.nets import Inheritance, Network, inherit
from hwnas.spaces import SearchSpace, space
from hwnas.training import Recipe, load_data, train

SPACES = (
    "mobilenet-32",
    "resnet-32",
    "micro",
    "mobilenetv1-32",
    "shufflenet-32",
    "efficientnet-32",
    "vit-32",
    "nasbench201",
)
PARENTS, MUTANTS = 6, 20
PAIRS, SHORT, LONG = 6, 2, 8
RATES = (0.1, 0.3, 1.0)
ADDED = {
    "mobilenetv1-32": ({"stage1.depth": 3}, {"stage3.depth": 2}),
    "shufflenet-32": ({"stage2.depth": 3},),
}


def moved(own: SearchSpace, parent: list[int], child: tuple[int, ...]) -> str:
    """What changed between neighbours, and whether it became more."""
    before, after = own.values(parent), own.values(child)
    (name,) = (key for key in before.keys() & after.keys() if before[key] != after[key])
    kind, (old, new) = name.rpartition(".")[2], (before[name], after[name])
    if kind.startswith("edge") or isinstance(old, str):
        return f"{kind[:4] if kind.startswith('edge') else kind}: {old} to {new}"
    return f"{kind} {'up' if new > old else 'down'}"


class Tally:
    """Children counted by whether they compute what their parent does."""

    def __init__(self) -> None:
        self.by_move: dict[str, list[bool]] = defaultdict(list)
        self.shares: list[float] = []
        self.kept: list[float] = []
        self.lost: list[float] = []

    def add(self, move: str, parent: Network, child: Network, found: Inheritance) -> None:
        """Count a child."""
        self.by_move[move].append(found.preserved)
        self.shares.append(found.share)
        if parent.architecture.input_shape == child.architecture.input_shape:
            (self.kept if found.preserved else self.lost).append(deviation(parent, child))

    def result(self) -> dict[str, Any]:
        """Counts and extremes."""
        flat = [kept for move in self.by_move.values() for kept in move]
        return {
            "children": len(flat),
            "preserved": sum(flat),
            "mean_share": float(np.mean(self.shares)),
            "worst_deviation_preserved": max(self.kept, default=None),
            "least_deviation_lost": min(self.lost, default=None),
            "by_move": {
                move: f"{sum(own)}/{len(own)}" for move, own in sorted(self.by_move.items())
            },
        }


def moves() -> dict[str, Any]:
    """Neighbours and mutants of every space."""
    found = {}
    for name in SPACES:
        print(name, file=sys.stderr)
        own = space(name + (":image_size=16" if name != "micro" else ""))
        rng = np.random.default_rng(0)
        neighbours, mutants = Tally(), Tally()
        for seed, genes in enumerate(own.sample(rng, PARENTS, over="choices").tolist()):
            parent = trained(own.decode(genes), seed)
            for move in own.neighbours(genes):
                architecture = own.decode(move)
                if architecture != parent.architecture:
                    child, told = inherit(parent, architecture, seed=seed)
                    neighbours.add(moved(own, genes, move), parent, child, told)
            for mutant in own.mutate(rng, np.array([genes] * MUTANTS), 0.1).tolist():
                architecture = own.decode(mutant)
                if architecture != parent.architecture:
                    child, told = inherit(parent, architecture, seed=seed)
                    mutants.add("all", parent, child, told)
        found[name] = {"neighbours": neighbours.result(), "mutants": mutants.result()}
    return found


@contextmanager
def new_moments() -> Iterator[None]:
    """New norms expect a mean of 0 and a variance of 1."""
    module = sys.modules["hwnas.nets.inherit"]
    kept = module.expected_moments
    module.expected_moments = lambda *_: None
    try:
        yield
    finally:
        module.expected_moments = kept


@torch.no_grad()
def norms() -> dict[str, Any]:
    """How much blocks that are the identity change in training."""
    found: dict[str, Any] = {}
    images = torch.randn(64, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    for name, added in ADDED.items():
        own = space(f"{name}:image_size=16")
        parent = trained(own.decode(own.encode({})), 0).train()
        for _ in range(60):
            before = parent(images)
        spread = (before - before.mean(0)).norm()
        for values in added:
            child = own.decode(own.encode(values))
            expected = (inherit(parent, child)[0](images) - before).norm() / spread
            with new_moments():
                new = (inherit(parent, child)[0](images) - before).norm() / spread
            found[f"{name} {values}"] = {"expected": float(expected), "of a new one": float(new)}
    return found


def worth() -> dict[str, Any]:
    """Short trainings with and without a parent beside long ones."""
    data = load_data("digits", seed=0)
    found = {}
    for name in ("mobilenetv1-32", "resnet-32"):
        own = space(f"{name}:image_size=16,input_channels=1")
        rng = np.random.default_rng(1)
        rows: dict[str, list[float]] = defaultdict(list)
        for seed, genes in enumerate(own.sample(rng, PAIRS, over="choices")):
            print(name, seed, file=sys.stderr)
            long, short = (Recipe(epochs=count, seed=seed) for count in (LONG, SHORT))
            parent = Network(own.decode(genes.tolist()), seed=seed)
            train(parent, data, long, test=False)
            child = own.decode(own.mutate(rng, genes[None], 0.2)[0].tolist())
            for label, recipe in (("long", long), ("short", short)):
                network = Network(child, seed=seed)
                rows[label].append(train(network, data, recipe, test=False).accuracy)
            for rate in RATES:
                network, told = inherit(parent, child, seed=seed)
                recipe = replace(short, learning_rate=rate * short.learning_rate)
                result = train(network, data, recipe, test=False)
                rows[f"inherited, rate {rate}"].append(result.accuracy)
            rows["share"].append(told.share)
            rows["preserved"].append(float(told.preserved))
        inherited = {label: rows.pop(label) for label in ("share", "preserved")}
        found[name] = inherited | {
            label: {
                "accuracies": [round(value, 4) for value in values],
                "mean": float(np.mean(values)),
                "difference_to_long": float(np.abs(np.subtract(values, rows["long"])).mean()),
            }
            for label, values in rows.items()
        }
    return found


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(json.dumps({"moves": moves, "norms": norms, "worth": worth}[sys.argv[1]](), indent=1))
