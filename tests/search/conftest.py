import numpy as np
import pytest

from hwnas.search import LatencyConstraint
from hwnas.search.gradient import GradientSearch
from hwnas.search.proxyless import BinaryGates
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

    def table_ms(self, genotypes):
        return 0.01 + sum(
            slot.costs_ms[tuple(genotypes[:, c] for c in slot.choices)] for slot in self.slots
        )

    def predict_ms(self, genotypes):
        return self.table_ms(genotypes) * (1 + 0.01 * (genotypes.sum(axis=1) % 3))

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

    def make(predictor, limit, *, model=None, rule=BinaryGates, seed=0, **options):
        constraint = LatencyConstraint(predictor, limit)
        own = predictor.space
        return GradientSearch(own, constraint, seed, rule=rule(model or FakeModel(own)), **options)

    return make


@pytest.fixture
def path_model():
    """The class of models whose losses are known."""
    return FakeModel


class WidePredictor:
    """An additive table, a nonlinear residual on it, bounds 10 % around."""

    def __init__(self, own, unit):
        rng = np.random.default_rng(7)
        self.constant_ms = 0.5 * unit
        self.slots = []
        for slot in own.slots:
            shape = tuple(int(own.cardinalities[c]) for c in slot.choices)
            costs = np.full(shape, rng.uniform(0.3, 0.6) * unit)
            for axis, size in enumerate(shape):
                factors = np.cumsum(rng.uniform(0.3, 0.6, size)) + 0.5
                costs *= factors.reshape([-1 if a == axis else 1 for a in range(len(shape))])
            for codes, block in own.slot_variants(slot):
                if block is None:
                    costs[codes] = 0.0
            self.slots.append(Cost(slot.choices, costs))

    def table_ms(self, genotypes):
        table = np.full(len(genotypes), self.constant_ms)
        for slot in self.slots:
            table += slot.costs_ms[tuple(genotypes[:, c] for c in slot.choices)]
        return table

    def predict_ms(self, genotypes):
        table = self.table_ms(genotypes)
        wobble = 1 + 0.05 * np.sin(genotypes[:, 0] + 2.0 * genotypes[:, 1])
        return table * wobble * (table / self.constant_ms) ** 0.05

    def bounds_ms(self, genotypes, quantile):
        latency = self.predict_ms(genotypes)
        return latency * 0.9, latency * 1.1

    def slot_costs_ms(self):
        return self.constant_ms, self.slots


class WidePaths:
    """Losses that are a sum over the genes that count, with noise."""

    global_genes = (0, 1)

    def __init__(self, own, unit):
        rng = np.random.default_rng(3)
        self.own = own
        self.unit = unit
        self.losses = [-rng.uniform(0.02, 0.2) * np.sqrt(np.arange(n)) for n in own.cardinalities]
        for gene, choice in enumerate(own.choices):
            if choice.parent is not None:
                self.losses[gene] -= 0.02
        self.rng = np.random.default_rng(11)

    def true_loss(self, genotypes):
        active = self.own.active(genotypes)
        total = np.full(len(genotypes), 3.0)
        for gene, losses in enumerate(self.losses):
            total += np.where(active[:, gene], losses[genotypes[:, gene]], 0.0)
        return total * self.unit

    def noisy(self, genotype):
        value = self.true_loss(self.own.canonical(np.array([genotype])))[0]
        return float(value + self.rng.normal(0, 0.02 * self.unit))

    def weight_step(self, genotype):
        return self.noisy(genotype)

    def gate_step(self, genotype, alternatives):
        gates = {
            gene: (
                self.noisy(genotype),
                self.noisy((*genotype[:gene], other, *genotype[gene + 1 :])),
            )
            for gene, other in alternatives.items()
        }
        return self.noisy(genotype), gates


@pytest.fixture
def wide():
    """For any space and units: the classes of a predictor and of a model with true losses."""
    return WidePredictor, WidePaths


@pytest.fixture
def cell_predictor():
    """Cells by the number of their convolutions, between 0.1 and 0.7 ms."""

    class Cells:
        def predict_ms(self, genotypes):
            return 0.1 * (1 + np.isin(genotypes, (2, 3)).sum(axis=1))

        def bounds_ms(self, genotypes, quantile):
            return self.predict_ms(genotypes), self.predict_ms(genotypes)

    return Cells()


class FakeMixture(FakeModel):
    """The same, with shares: the loss is the mean over the genes of their shares' losses."""

    def mixed_weight_step(self, genotype, shares):
        self.steps += 1
        return self.mixed_loss(genotype, shares)

    def mixed_loss(self, genotype, shares):
        return float(
            np.mean(
                [
                    own[value] if gene in self.global_genes else own @ share
                    for gene, (own, value, share) in enumerate(
                        zip(self.losses, genotype, shares, strict=True)
                    )
                ]
            )
        )

    def mixed_gate_step(self, genotype, shares):
        slopes = [
            np.where(share > 0, own / len(shares), 0.0)
            for own, share in zip(self.losses, shares, strict=True)
        ]
        return self.mixed_loss(genotype, shares), slopes

    def unrolled_gate_step(self, genotype, shares):
        return self.mixed_gate_step(genotype, shares)


@pytest.fixture
def mixture_model():
    """The class of models with known losses that can be mixed."""
    return FakeMixture
