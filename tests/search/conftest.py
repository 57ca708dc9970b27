import numpy as np
import pytest

from hwnas.search import LatencyConstraint
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
