import math

import numpy as np
import pytest

from hwnas.errors import RequestError
from hwnas.estimators.combining import Columns, parts_of


@pytest.fixture
def columns():
    values = {"a": np.array([1.0, 2.0, 3.0]), "b": np.array([30.0, math.nan, 20.0])}
    return Columns(values | {"c": np.zeros(3)}, {"a": 1.0, "b": 2.0, "c": 4.0})


def test_a_combination_is_the_mean_rank_of_its_parts(columns):
    columns.combine("a+b")
    assert columns.values["a+b"].tolist() == [2.0, 1.5, 2.5]
    assert columns.seconds["a+b"] == 3.0


def test_what_two_parts_need_is_paid_for_once(columns):
    columns.add("learned", [1, 2, 3], ("a", "b"), 0.5)
    columns.combine("learned+b+c")
    assert columns.seconds == {
        "a": 1.0,
        "b": 2.0,
        "c": 4.0,
        "learned": 3.5,
        "learned+b+c": 7.5,
    }


def test_names_of_combinations():
    assert parts_of("naswot") == ("naswot",)
    assert parts_of("naswot + synflow+zen") == ("naswot", "synflow", "zen")
    for wrong in ("naswot+", "+", "naswot+naswot"):
        with pytest.raises(
            RequestError, match=f"each once.*received '{wrong}'".replace("+", r"\+")
        ):
            parts_of(wrong)
