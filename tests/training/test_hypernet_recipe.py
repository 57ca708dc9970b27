import pytest

from hwnas.errors import SpecError
from hwnas.training.hypernet_recipe import HypernetRecipe


def test_the_rate_falls_twice():
    rates = [HypernetRecipe().rate(progress) for progress in (0.0, 0.49, 0.5, 0.74, 0.75, 1.0)]
    assert rates == pytest.approx([3e-3, 3e-3, 3e-4, 3e-4, 3e-5, 3e-5])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"batch_size": 2}, "batch_size must be at least 3"),
        ({"architectures": 2.5}, "architectures must be a whole number"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0"),
        ({"shift": float("nan")}, "shift must be a number"),
    ],
)
def test_impossible_recipes_are_refused(wrong, said):
    with pytest.raises(SpecError, match=said):
        HypernetRecipe(**wrong)
