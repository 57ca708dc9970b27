import numpy as np
import pytest

from hwnas.errors import DivergedError
from hwnas.search.proxyless import BinaryGates
from hwnas.search.relaxation import PATIENCE, Relaxation


def relaxation(constraint, predictor, model, steps=40):
    rule = BinaryGates(model)
    return Relaxation(predictor.space, constraint, 0, rule=rule, steps=steps, rate=0.1)


class Failing:
    """A model that fails in some calls of one of its steps."""

    def __init__(self, model, kind, calls, failure):
        self.model, self.kind, self.calls, self.failure = model, kind, set(calls), failure
        self.global_genes, self.count = model.global_genes, 0

    def _fails(self, kind):
        self.count += kind == self.kind
        return kind == self.kind and self.count in self.calls

    def weight_step(self, genotype):
        if self._fails("weight"):
            if self.failure is None:
                raise DivergedError("the shared weights diverged")
            return self.failure
        return self.model.weight_step(genotype)

    def gate_step(self, genotype, alternatives):
        loss, gates = self.model.gate_step(genotype, alternatives)
        if self._fails("gate"):
            return self.failure, gates
        if self._fails("gates"):
            return loss, {gene: (self.failure, other) for gene, (_, other) in gates.items()}
        return loss, gates

    def save(self, path):
        self.model.save(path)

    def load(self, path):
        self.model.load(path)


FAILURES = [
    ("weight", None),
    ("weight", float("nan")),
    ("gate", float("nan")),
    ("gates", float("inf")),
]


@pytest.mark.parametrize(("kind", "failure"), FAILURES)
def test_a_step_that_diverges_moves_nothing(constraint, predictor, path_model, kind, failure):
    model = Failing(path_model(predictor.space), kind, {3}, failure)
    own = relaxation(constraint, predictor, model)
    for _ in range(2):
        assert own.advance(warm=False)["diverged"] == 0
    before, baseline = own.probabilities(), own.baseline
    info = own.advance(warm=False)
    assert info["diverged"] == 1 and "multiplier" in info and "expected_ms" not in info
    for old, new in zip(before, own.probabilities(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert own.baseline == baseline
    assert own.advance(warm=False)["diverged"] == 0 and not own.stopped


@pytest.mark.parametrize(("kind", "failure"), FAILURES)
@pytest.mark.parametrize("since", [1, 60])
def test_weights_that_are_lost_end_the_relaxation_where_it_is(
    search, predictor, path_model, tmp_path, kind, failure, since
):
    model = Failing(path_model(predictor.space), kind, range(since, 1000), failure)
    infos = []
    found = search(
        predictor,
        0.3,
        model=model,
        steps=120,
        folder=tmp_path,
        on_step=lambda step, steps, info: infos.append(info),
    )
    finalists = found.ask(4)
    assert len(finalists) == 4
    assert found.constraint.feasible(np.array(finalists)).all()
    assert found.relaxation.stopped and found.relaxation.step < 120
    assert [info["diverged"] for info in infos[-PATIENCE:]] == [1, 2, 3, 4, 5]
    assert all(np.isfinite(p).all() for p in found.relaxation.probabilities())
    # A later run does not start over with weights that are lost.
    again = search(predictor, 0.3, steps=120, folder=tmp_path)
    assert again.ask(4) == finalists
    assert again.relaxation.step == found.relaxation.step
