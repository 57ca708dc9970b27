import numpy as np
import pytest

from hwnas.search import LatencyConstraint
from hwnas.search.gradient import GradientSearch
from hwnas.spaces import space


class Cost:
    def __init__(self, choices, costs_ms):
        self.choices, self.costs_ms = choices, costs_ms


class FakePredictor:
    """A table over the slots of resnet-32 by MACs, and a factor that depends on all choices."""

    def __init__(self):
        self.space = space("resnet-32")
        self.slots = []
        for slot in self.space.slots:
            shape = tuple(len(self.space.choices[c].values) for c in slot.choices)
            costs = np.zeros(shape)
            for genes, block in self.space.slot_variants(slot):
                costs[genes] = 0.0 if block is None else 0.01 + block.graph.macs / 2e7
            self.slots.append(Cost(slot.choices, costs))

    def predict_ms(self, genotypes):
        table = 0.01 + sum(
            slot.costs_ms[tuple(genotypes[:, c] for c in slot.choices)] for slot in self.slots
        )
        return table * (1 + 0.01 * (genotypes.sum(axis=1) % 3))

    def bounds_ms(self, genotypes, quantile):
        latency = self.predict_ms(genotypes)
        return latency * 0.98, latency * 1.02

    def slot_costs_ms(self):
        return 0.01, self.slots


@pytest.fixture
def predictor():
    return FakePredictor()


@pytest.fixture
def constraint(predictor):
    return LatencyConstraint(predictor, 0.35)


class FakeModel:
    """Each value of each gene has a loss of its own; the path's loss is their mean."""

    global_genes = (0, 1)

    def __init__(self, space):
        # Later values are better and dearer, in every choice.
        self.losses = [-np.linspace(0, 1, len(c.values)) for c in space.choices]
        self.steps = 0

    def weight_step(self, genotype):
        self.steps += 1
        return self.loss(genotype)

    def loss(self, genotype):
        return float(np.mean([own[g] for own, g in zip(self.losses, genotype, strict=True)]))

    def gate_step(self, genotype, alternatives):
        gates = {
            gene: (self.losses[gene][genotype[gene]], self.losses[gene][other])
            for gene, other in alternatives.items()
        }
        return self.loss(genotype), gates

    def save(self, path):
        path.write_text(str(self.steps))

    def load(self, path):
        self.steps = int(path.read_text())


@pytest.fixture
def search():
    """A gradient search under a limit, with a model of its own."""

    def make(predictor, limit, *, model=None, seed=0, **options):
        constraint = LatencyConstraint(predictor, limit)
        own = predictor.space
        return GradientSearch(own, constraint, seed, model=model or FakeModel(own), **options)

    return make


@pytest.fixture
def path_model():
    """The class of models whose losses are known."""
    return FakeModel
