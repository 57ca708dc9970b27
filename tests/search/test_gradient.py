import itertools
import json

import numpy as np
import pytest
import torch

from hwnas.search import LatencyConstraint
from hwnas.search.expectation import ExpectedLatency
from hwnas.search.gradient import GradientSearch


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


def search(predictor, limit, **options):
    constraint = LatencyConstraint(predictor, limit)
    model = FakeModel(predictor.space)
    return GradientSearch(predictor.space, constraint, 0, model=model, **options)


@pytest.mark.parametrize("limit", [0.2, 0.3, 0.4])
def test_the_limit_is_reached_from_below_without_tuning(predictor, limit):
    found = search(predictor, limit)
    finalists = np.array(found.ask(4))
    upper = found.constraint.upper_ms(finalists)
    assert (upper <= limit).all()
    assert upper.max() >= 0.9 * limit
    # Random feasible networks are what it must beat.
    rows = predictor.space.sample(np.random.default_rng(0), 2000, over="choices")
    rows = rows[found.constraint.feasible(rows)]
    typical = np.median([found.relaxation.model.loss(row) for row in rows])
    assert found.relaxation.model.loss(finalists[0]) < typical


def test_a_loose_limit_has_no_price(predictor):
    found = search(predictor, 100.0)
    best = found.ask(1)[0]
    assert found.relaxation.multiplier == 0
    assert found.relaxation.model.loss(best) < -0.9


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
    assert float(table(logits)) == pytest.approx(float(weights @ expected.table_ms(every)))

    rest = expected.rest_ms(every)
    exact = [
        np.array(
            [
                (weights * (every[:, i] == j) / p[i][j]) @ (expected.table_ms(every) + rest)
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


def test_a_resumed_relaxation_ends_as_an_uninterrupted_one(predictor, tmp_path):
    whole = search(predictor, 0.3, steps=120)
    whole.ask(2)
    stopped = []

    def stop(step, steps, info):
        if step == 70 and not stopped:
            stopped.append(step)
            raise KeyboardInterrupt

    first = search(predictor, 0.3, steps=120, folder=tmp_path, on_step=stop)
    with pytest.raises(KeyboardInterrupt):
        first.ask(2)
    second = search(predictor, 0.3, steps=120, folder=tmp_path)
    second.ask(2)
    assert second.relaxation.step == 120 and second.relaxation.model.steps == 120
    for own, other in zip(
        whole.relaxation.probabilities(), second.relaxation.probabilities(), strict=True
    ):
        np.testing.assert_array_equal(own, other)
    assert second.proposed == whole.proposed
    assert second.relaxation.multiplier == whole.relaxation.multiplier


def test_a_state_survives(predictor):
    first = search(predictor, 0.3, steps=60)
    first.ask(2)
    second = search(predictor, 0.3, steps=60)
    second.load_state_dict(json.loads(json.dumps(first.state_dict())), first.proposed)
    assert second.ask(3) == first.ask(3)
