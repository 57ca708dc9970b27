import json
import math

import pytest
import torch

from hwnas.errors import DivergedError, RequestError
from hwnas.estimators import Budget, Estimate
from hwnas.estimators.collecting import Record, collect, distinct_sample
from hwnas.spaces import space

MICRO = space("micro")


class Counting:
    """An estimator that counts what it was asked."""

    def __init__(self, name, act=None):
        self.name, self.act, self.asked = name, act, []

    def estimate(self, architecture, budget):
        self.asked.append(architecture.digest)
        if self.act is not None:
            self.act(len(self.asked))
        return Estimate(float(architecture.macs), 0.25, {"estimator": self.name})


def judges(*estimators):
    return {own.name: (own, Budget()) for own in estimators}


def test_samples_are_distinct_and_the_smaller_begins_the_larger():
    small, large = distinct_sample(MICRO, 8, 1), distinct_sample(MICRO, 60, 1)
    assert large[:8] == small
    assert len({item.architecture.digest for item in large}) == 60
    assert all(MICRO.decode(item.genotype) == item.architecture for item in large)
    assert distinct_sample(MICRO, 8, 2) != small


def test_a_space_can_be_used_up_but_not_beyond():
    assert len(distinct_sample(MICRO, MICRO.size, 0)) == MICRO.size == 432
    with pytest.raises(RequestError, match="has 432 architectures; --n must be at most that"):
        distinct_sample(MICRO, 433, 0)


def test_genotypes_of_one_architecture_count_once():
    # A cell without a way to its output is one architecture, whatever stands on dead edges.
    own = space("nasbench201:image_size=8")
    with pytest.raises(RequestError, match="gave only [0-9]+ different architectures"):
        distinct_sample(_Few(own), 40, 0)


class _Few:
    """A space whose samples are few architectures, though it counts many genotypes."""

    def __init__(self, own):
        self.own, self.name, self.size = own, own.name, own.size

    def sample(self, rng, count):
        genotypes = self.own.sample(rng, count)
        genotypes[:, 1:] = 0
        return genotypes

    def decode(self, genes):
        return self.own.decode(genes)


def test_every_estimate_is_remembered_at_once_and_none_is_made_twice():
    sample = distinct_sample(MICRO, 8, 0)
    kept, steps = [], []

    def interrupt(count):
        if count == 4:
            raise KeyboardInterrupt

    first, second = Counting("a"), Counting("b", interrupt)
    with pytest.raises(KeyboardInterrupt):
        collect(sample, judges(first, second), remember=kept.append)
    # Three whole rows, and the first of the fourth.
    assert len(kept) == 7
    known = [Record.from_json(json.loads(json.dumps(item.to_json()))) for item in kept]
    later = Counting("a"), Counting("b")
    found = collect(
        sample,
        judges(*later),
        known=known,
        remember=kept.append,
        on_step=lambda done, total: steps.append((done, total)),
    )
    assert [len(own.asked) for own in later] == [4, 5]
    assert steps[-1] == (16, 16) and len(kept) == 16
    assert len({record.key for record in kept}) == 16
    for name in ("a", "b"):
        assert [r.value for r in found[name]] == [float(i.architecture.macs) for i in sample]
        assert [r.genotype for r in found[name]] == [i.genotype for i in sample]


def test_a_training_that_diverges_has_no_value_and_is_not_tried_again():
    sample = distinct_sample(MICRO, 3, 0)

    def diverge(count):
        if count == 2:
            raise DivergedError("the loss is nan")

    kept = []
    found = collect(sample, judges(Counting("a", diverge)), remember=kept.append)
    assert [math.isnan(record.value) for record in found["a"]] == [False, True, False]
    assert kept[1].to_json()["value"] is None
    assert kept[1].provenance["reason"] == "the loss is nan"
    again = Counting("a")
    known = [Record.from_json(item.to_json()) for item in kept]
    assert math.isnan(
        collect(sample, judges(again), known=known, remember=kept.append)["a"][1].value
    )
    assert again.asked == []


@pytest.mark.parametrize("error", [torch.linalg.LinAlgError("no convergence"), OverflowError()])
def test_a_score_that_fails_on_one_architecture_is_missing_there(error):
    def fail(count):
        if count == 2:
            raise error

    found = collect(
        distinct_sample(MICRO, 3, 0), judges(Counting("a", fail)), remember=lambda _: None
    )["a"]
    assert [math.isnan(record.value) for record in found] == [False, True, False]
    assert found[1].provenance["reason"] in ("no convergence", "OverflowError")


def test_a_wrong_request_is_not_taken_for_a_missing_value():
    def fail(count):
        raise RequestError("of another space")

    with pytest.raises(RequestError, match="another space"):
        collect(distinct_sample(MICRO, 3, 0), judges(Counting("a", fail)), remember=print)
