import json
import math

import pytest

from hwnas.errors import SpecError
from hwnas.training import Recipe


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0),
        ("epochs", 1.5),
        ("epochs", "3"),
        ("epochs", True),
        ("batch_size", 0),
        ("batch_size", math.inf),
        ("learning_rate", 0.0),
        ("learning_rate", math.nan),
        ("momentum", 1.0),
        ("momentum", -0.1),
        ("weight_decay", -1e-4),
        ("label_smoothing", 1.1),
        ("warmup", 2),
        ("shift", 0.6),
        ("seed", -1),
        ("seed", None),
    ],
)
def test_values_out_of_range_are_refused_by_name(name, value):
    with pytest.raises(SpecError, match=f"recipe: .*{name}"):
        Recipe(**{name: value})


def test_values_at_the_edges_are_allowed():
    own = Recipe(
        epochs=1, batch_size=1, learning_rate=0.1, momentum=0, weight_decay=0, shift=0.5, warmup=1
    )
    assert own.rate(0.5) == pytest.approx(0.05)


def test_the_rate_rises_to_the_highest_and_falls_to_zero():
    own = Recipe(learning_rate=0.2, warmup=0.5)
    rates = [own.rate(progress) for progress in (0.25, 0.5, 0.75, 1)]
    assert rates == pytest.approx([0.1, 0.2, 0.1, 0])
    # The first step learns something too, and a progress past the end does not rise again.
    assert own.rate(0) > 0
    assert own.rate(1.5) == pytest.approx(0)


def test_without_a_warmup_the_first_rate_is_the_highest():
    assert Recipe(learning_rate=0.2, warmup=0).rate(0) == 0.2


def test_recipes_survive_json():
    own = Recipe(epochs=3, shift=0.0, seed=5)
    assert Recipe.from_json(json.loads(json.dumps(own.to_json()))) == own
