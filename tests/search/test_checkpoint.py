import errno
import itertools
import json
import os
import tempfile

import numpy as np
import pytest

from hwnas.errors import RequestError, StorageError
from hwnas.search import LatencyConstraint
from hwnas.search.gradient import GradientSearch
from hwnas.search.proxyless import BinaryGates

STEPS = 120


def ticks():
    """A clock on which a checkpoint is due every few steps."""
    count = itertools.count()
    return lambda: 1.5 * next(count)


def assert_same(one, other):
    assert one.relaxation.step == other.relaxation.step == STEPS
    assert one.relaxation.state_dict() == other.relaxation.state_dict()
    assert one.relaxation.model.steps == other.relaxation.model.steps == STEPS


@pytest.mark.parametrize("step", [1, 30, 70, STEPS])
def test_a_relaxation_that_is_stopped_between_steps_ends_as_a_whole_one(
    search, predictor, tmp_path, step
):
    def stop(own, steps, info):
        if own == step:
            raise KeyboardInterrupt

    whole = search(predictor, 0.3, steps=STEPS)
    expected = whole.ask(2)
    with pytest.raises(KeyboardInterrupt):
        search(predictor, 0.3, steps=STEPS, folder=tmp_path, on_step=stop).ask(2)
    resumed = search(predictor, 0.3, steps=STEPS, folder=tmp_path)
    assert resumed.ask(2) == expected
    assert_same(whole, resumed)


@pytest.mark.parametrize("name", ["weight_step", "gate_step"])
@pytest.mark.parametrize("call", [1, 25, 71])
def test_a_relaxation_that_is_stopped_within_a_step_ends_as_a_whole_one(
    search, predictor, path_model, tmp_path, monkeypatch, name, call
):
    whole = search(predictor, 0.3, steps=STEPS)
    expected = whole.ask(2)
    model = path_model(predictor.space)
    calls, original = itertools.count(1), getattr(model, name)

    def stop(*arguments):
        value = original(*arguments)
        if next(calls) == call:
            raise KeyboardInterrupt
        return value

    monkeypatch.setattr(model, name, stop)
    options = {"steps": STEPS, "folder": tmp_path}
    with pytest.raises(KeyboardInterrupt):
        search(predictor, 0.3, model=model, clock=ticks(), **options).ask(2)
    # Before the first checkpoint there is nothing to go on from.
    assert (tmp_path / "relaxation.json").exists() == (name == "gate_step" or call > 1)
    resumed = search(predictor, 0.3, **options)
    assert resumed.ask(2) == expected
    assert_same(whole, resumed)


def relaxed(search, predictor, folder):
    own = search(predictor, 0.3, steps=20, folder=folder)
    own.ask(2)
    return own


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"limit": 0.4}, "limit_ms is 0.3 there and 0.4 here"),
        ({"seed": 1}, "seed is 0 there and 1 here"),
        ({"steps": 30}, "steps is 20 there and 30 here"),
        ({"rate": 0.2}, "rate is 0.1 there and 0.2 here"),
        ({"warmup": 0.1}, "warmup is 0.35 there and 0.1 here"),
    ],
)
def test_a_checkpoint_of_another_search_is_refused(search, predictor, tmp_path, changed, said):
    relaxed(search, predictor, tmp_path)
    options = {"limit": 0.3, "steps": 20, **changed}
    other = search(predictor, options.pop("limit"), folder=tmp_path, **options)
    with pytest.raises(RequestError, match="another search") as caught:
        other.ask(2)
    assert said in str(caught.value)
    assert "--run" in str(caught.value) and f"delete '{tmp_path}'" in str(caught.value)


def test_another_quantile_is_refused_but_a_wider_margin_is_not(
    search, predictor, path_model, tmp_path
):
    relaxed(search, predictor, tmp_path)

    def other(quantile):
        constraint = LatencyConstraint(predictor, 0.3, quantile)
        rule = BinaryGates(path_model(predictor.space))
        return constraint, GradientSearch(
            predictor.space, constraint, 0, rule=rule, steps=20, folder=tmp_path
        )

    with pytest.raises(RequestError, match=r"quantile is 0.9 there and 0.8 here"):
        other(0.8)[1].ask(2)
    constraint, wider = other(0.9)
    constraint.tighten(1.1)
    assert constraint.feasible(np.array(wider.ask(2))).all()


def garbled(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    "harm",
    [
        lambda path: path.write_text(path.read_text()[:100]),
        lambda path: path.write_text(""),
        lambda path: path.write_text("[]"),
        lambda path: path.write_bytes(b"\xff\xfe\x00"),
        lambda path: garbled(path, state=None),
        lambda path: garbled(path, state={}),
        lambda path: garbled(path, state={"spent_s": 0, "relaxation": {"step": "?"}}),
        lambda path: garbled(path, weights="weights-7.pt"),
        lambda path: next(path.parent.glob("weights-*.pt")).write_text("torn"),
    ],
)
def test_a_broken_checkpoint_says_what_to_do(search, predictor, tmp_path, harm):
    relaxed(search, predictor, tmp_path)
    harm(tmp_path / "relaxation.json")
    with pytest.raises(StorageError, match="Delete") as caught:
        relaxed(search, predictor, tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_one_that_cannot_be_written_keeps_the_one_before(search, predictor, tmp_path, monkeypatch):
    def no_room(**settings):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    own = relaxed(search, predictor, tmp_path)
    before = (tmp_path / "relaxation.json").read_text()
    monkeypatch.setattr(tempfile, "mkstemp", no_room)
    with pytest.raises(StorageError, match="relaxation.json' cannot be written: the disk is full"):
        own.relax()
    assert (tmp_path / "relaxation.json").read_text() == before


def test_the_journal_does_not_repeat_what_the_checkpoint_holds(search, predictor, tmp_path):
    first = relaxed(search, predictor, tmp_path)
    state = json.loads(json.dumps(first.state_dict()))
    assert state.keys() == {"rng", "relaxed"}
    second = search(predictor, 0.3, steps=20, folder=tmp_path)
    second.load_state_dict(state, first.proposed)
    assert second.ask(3) == first.ask(3)
    # Where the folder was deleted, the relaxation is run anew; nothing is proposed twice.
    for path in tmp_path.iterdir():
        path.unlink()
    third = search(predictor, 0.3, steps=20, folder=tmp_path)
    third.load_state_dict(state, first.proposed)
    assert not set(third.ask(3)) & first.proposed
    assert third.relaxation.step == 20
