import itertools

import numpy as np
import pytest
import torch

from hwnas.search import LatencyConstraint
from hwnas.search.expectation import ExpectedLatency
from hwnas.spaces.space import Choice, SearchSpace, Slot


def test_the_expected_bound_and_its_gradient_are_those_of_enumeration(predictor):
    found = predictor.space
    expected = ExpectedLatency(found, LatencyConstraint(predictor, 1.0), probes=4)
    rng = np.random.default_rng(0)
    logits = [
        torch.tensor(rng.normal(size=len(c.values)), dtype=torch.float64) for c in found.choices
    ]

    def table(values):
        p = [torch.softmax(item, 0) for item in values]
        return expected.table_expectation(p)

    every = np.array(list(itertools.product(*(range(len(c.values)) for c in found.choices))))
    p = [torch.softmax(item, 0).numpy() for item in logits]
    weights = np.prod([p[i][every[:, i]] for i in range(found.length)], axis=0)
    assert float(table(logits)) == pytest.approx(float(weights @ predictor.table_ms(every)))

    rest = expected.rest_ms(every)
    exact = [
        np.array(
            [
                (weights * (every[:, i] == j) / p[i][j]) @ (predictor.table_ms(every) + rest)
                for j in range(len(p[i]))
            ]
        )
        for i in range(found.length)
    ]

    def sample(count):
        return np.stack([rng.choice(len(q), size=count, p=q) for q in p], axis=1)

    # 200 draws of 4: the error of the mean is some 4 % of the rest's spread.
    many = [expected.gradient(logits, sample)[1] for _ in range(200)]
    for i in range(found.length):
        jacobian = np.diag(p[i]) - np.outer(p[i], p[i])
        mean = np.mean([gradient[i].numpy() for gradient in many], axis=0)
        np.testing.assert_allclose(mean, jacobian @ exact[i], atol=0.05 * rest.std() + 1e-9)


class DeepPredictor:
    """A depth gene that switches on two widths; the bound is no sum over the slots."""

    def __init__(self):
        choices = [
            Choice("depth", (1, 2)),
            Choice("width1", (8, 16, 24)),
            Choice("width2", (8, 16), parent=0, active_from=1),
        ]
        slots = [Slot("block1", (1,), lambda *_: None), Slot("block2", (0, 2), lambda *_: None)]
        self.space = SearchSpace(
            "tiny", choices, slots, input_channels=3, image_sizes=(8,), resolution=None, classes=2
        )
        self.slots = [
            SlotCost((1,), np.array([1.0, 2.0, 4.0])),
            SlotCost((0, 2), np.array([[0.0, 0.0], [3.0, 7.0]])),
        ]

    def predict_ms(self, genotypes):
        # A gene that is switched off must be 0: what is asked for is canonical.
        assert (self.space.canonical(genotypes) == genotypes).all()
        depth, first, second = genotypes.T
        return 1 + first**2 + depth * (2 + first * second) + 5 * depth * second

    def bounds_ms(self, genotypes, quantile):
        latency = self.predict_ms(genotypes)
        return 0.9 * latency, 1.2 * latency

    def table_ms(self, genotypes):
        return 0.5 + sum(
            slot.costs_ms[tuple(genotypes[:, c] for c in slot.choices)] for slot in self.slots
        )

    def slot_costs_ms(self):
        return 0.5, self.slots


class SlotCost:
    def __init__(self, choices, costs_ms):
        self.choices, self.costs_ms = choices, costs_ms


def test_a_depth_brings_out_the_choices_that_it_switches_on():
    predictor = DeepPredictor()
    own = predictor.space
    constraint = LatencyConstraint(predictor, 5.0)
    # Probabilities are multiples of 1/4, so that 64 draws are the distribution exactly.
    counts = [[1, 3], [1, 1, 2], [3, 1]]
    logits = [torch.log(torch.tensor(item, dtype=torch.float64)) for item in counts]
    columns = [[value for value, n in enumerate(item) for _ in range(n)] for item in counts]
    whole = np.array(list(itertools.product(*columns)))

    def enumerated(values):
        p = [torch.softmax(item, 0) for item in values]
        total = torch.zeros((), dtype=torch.float64)
        for row in itertools.product(*(range(int(n)) for n in own.cardinalities)):
            bound = constraint.upper_ms(own.canonical(np.array([row])))[0]
            total = total + p[0][row[0]] * p[1][row[1]] * p[2][row[2]] * float(bound)
        return total

    inputs = [item.clone().requires_grad_() for item in logits]
    exact = enumerated(inputs)
    slopes = torch.autograd.grad(exact, inputs)
    expected = ExpectedLatency(own, constraint, probes=len(whole))
    value, gradient = expected.gradient(logits, lambda count: whole)
    assert value == pytest.approx(float(exact.detach()), rel=1e-12)
    for got, want in zip(gradient, slopes, strict=True):
        np.testing.assert_allclose(got.numpy(), want.numpy(), atol=1e-12)

    # Canonical draws would hide what a depth switches on, and price it too low.
    _, hidden = expected.gradient(logits, lambda count: own.canonical(whole))
    assert float(hidden[0][1]) < 0.95 * float(slopes[0][1])
