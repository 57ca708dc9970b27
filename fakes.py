import math
from dataclasses import dataclass
import numpy as np
from hwnas.spaces import space

@dataclass(frozen=True)
class FakeSlotCost:
    choices: tuple
    costs_ms: np.ndarray

class FakePredictor:
    """Additive table, nonlinear residual, bounds 10 % around (as in the lost tests/search/conftest.py)."""
    def __init__(self, space, unit=1.0):
        rng = np.random.default_rng(7)
        self.constant_ms, self.calls, self.slots = 0.5 * unit, 0, []
        for slot in space.slots:
            shape = tuple(int(space.cardinalities[c]) for c in slot.choices)
            costs = np.full(shape, rng.uniform(0.3, 0.6) * unit)
            for axis, size in enumerate(shape):
                f = np.cumsum(rng.uniform(0.3, 0.6, size)) + 0.5
                costs *= f.reshape([-1 if a == axis else 1 for a in range(len(shape))])
            for codes, block in space.slot_variants(slot):
                if block is None:
                    costs[codes] = 0.0
            self.slots.append(FakeSlotCost(slot.choices, costs))
    def predict_ms(self, g):
        self.calls += 1
        t = np.full(len(g), self.constant_ms)
        for s in self.slots:
            t = t + s.costs_ms[tuple(g[:, c] for c in s.choices)]
        return t * (1 + 0.05 * np.sin(g[:, 0] + 2.0 * g[:, 1])) * (t / self.constant_ms) ** 0.05
    def bounds_ms(self, g, q):
        t = self.predict_ms(g)
        return t * (1 - 0.2 * (q - 0.4)), t * (1 + 0.2 * (q - 0.4))
    def slot_costs_ms(self):
        return self.constant_ms, self.slots

class FakePathModel:
    def __init__(self, space, noise=0.02, unit=1.0):
        rng = np.random.default_rng(3)
        self.space, self.global_genes = space, (0, 1)
        self.losses = [-rng.uniform(0.02, 0.2) * np.sqrt(np.arange(n)) * unit for n in space.cardinalities]
        for gene, c in enumerate(space.choices):
            if c.parent is not None:
                self.losses[gene] -= 0.02 * unit
        self.noise, self.unit, self.rng = noise * unit, unit, np.random.default_rng(11)
    def true_loss(self, g):
        a, t = self.space.active(g), np.full(len(g), 3.0 * self.unit)
        for gene, l in enumerate(self.losses):
            t += np.where(a[:, gene], l[g[:, gene]], 0.0)
        return t
    def loss(self, g):
        return float(self.true_loss(np.array([g]))[0] + self.rng.normal(0, self.noise))
    weight_step = loss
    def gate_step(self, g, alternatives):
        gates = {}
        for gene, other in alternatives.items():
            m = list(g); m[gene] = other
            pair = self.true_loss(self.space.canonical(np.array([g, m]))) + self.rng.normal(0, self.noise, 2)
            gates[gene] = (float(pair[0]), float(pair[1]))
        return self.loss(g), gates
    def save(self, path): path.write_text("x")
    def load(self, path): pass
