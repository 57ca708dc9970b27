"""The same settings work whatever the unit of the loss and however fast the device."""

import numpy as np
import pytest

from hwnas.search import LatencyConstraint, RandomSearch
from hwnas.search.gradient import GradientSearch
from hwnas.spaces import space


class SlotCost:
    """A slot's table."""

    def __init__(self, choices, costs_ms):
        self.choices = choices
        self.costs_ms = costs_ms


class Predictor:
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
            self.slots.append(SlotCost(slot.choices, costs))

    def predict_ms(self, genotypes):
        table = np.full(len(genotypes), self.constant_ms)
        for slot in self.slots:
            table += slot.costs_ms[tuple(genotypes[:, c] for c in slot.choices)]
        wobble = 1 + 0.05 * np.sin(genotypes[:, 0] + 2.0 * genotypes[:, 1])
        return table * wobble * (table / self.constant_ms) ** 0.05

    def bounds_ms(self, genotypes, quantile):
        latency = self.predict_ms(genotypes)
        return latency * 0.9, latency * 1.1

    def slot_costs_ms(self):
        return self.constant_ms, self.slots


class Paths:
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


def finalists(own, limit_ms, seed, loss_unit=1.0, time_unit=1.0):
    constraint = LatencyConstraint(Predictor(own, time_unit), limit_ms * time_unit)
    model = Paths(own, loss_unit)
    asked = np.array(GradientSearch(own, constraint, seed, model=model, steps=300).ask(4))
    assert constraint.feasible(asked).all()
    return asked, constraint, model


@pytest.mark.parametrize(("loss_unit", "time_unit"), [(0.01, 1000.0), (100.0, 0.001)])
def test_it_lands_on_the_limit_in_any_unit(loss_unit, time_unit):
    own = space("mobilenet-32")
    asked, constraint, _ = finalists(own, 18.0, 0, loss_unit, time_unit)
    assert constraint.upper_ms(asked).max() >= 0.97 * constraint.limit_ms


# From a tight limit (the lowest that the space can reach is 4 ms) to one that binds little.
@pytest.mark.parametrize(("limit_ms", "seed"), [(10.0, 1), (12.0, 2), (38.0, 1), (200.0, 2)])
def test_it_beats_the_best_of_300_random_ones(limit_ms, seed):
    own = space("mobilenet-32")
    asked, constraint, model = finalists(own, limit_ms, seed)
    # Seeds are fixed; the random ones are even judged without noise.
    random = np.array(RandomSearch(own, constraint, seed).ask(300))
    assert model.true_loss(asked).min() < model.true_loss(random).min()
