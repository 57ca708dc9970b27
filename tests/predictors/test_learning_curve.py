import pytest

from hwnas.errors import SpecError
from hwnas.predictors.learning_curve import more_samples


def test_a_power_law_is_followed_and_not_too_far():
    # Halving the samples made it sqrt(2) worse: four times as many halve it.
    assert more_samples(10, 8.0, 8.0 * 2**0.5, 4.0) == 30
    assert more_samples(10, 8.0, 4.0, 0.001) == 990
    assert more_samples(10, 8.0, None, 8.0) is None
    assert more_samples(10, 8.0, None, 0.0) == 1000


def test_half_the_samples_without_an_error_say_nothing_of_the_rest():
    assert more_samples(10, 8.0, 0.0, 4.0) == 990


@pytest.mark.parametrize(
    "words",
    [
        (0, 8.0, None, 4.0),
        (10, float("nan"), None, 4.0),
        (10, 8.0, None, float("nan")),
        (10, 8.0, float("nan"), 4.0),
        (2.5, 8.0, None, 4.0),
        (10, "8", None, 4.0),
    ],
)
def test_what_is_no_number_is_refused(words):
    with pytest.raises(SpecError, match="must be a"):
        more_samples(*words)
