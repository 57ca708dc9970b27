import json
import math

import pytest

from hwnas.errors import SpecError
from hwnas.estimators import Budget, Estimate


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"epochs": 0}, "epochs must be at least 1, received 0"),
        ({"seconds": 0}, "seconds must be more than 0, received 0"),
        ({"seconds": -1.0}, "seconds"),
        ({"seconds": math.nan}, "seconds"),
        ({"macs": 0}, "macs must be more than 0 and finite, received 0"),
        ({"macs": math.inf}, "macs"),
    ],
)
def test_budgets_that_allow_nothing_are_refused(wrong, says):
    with pytest.raises(SpecError, match=says):
        Budget(**wrong)


def test_a_budget_may_leave_everything_to_the_estimator():
    assert Budget() == Budget(epochs=None, seconds=None, macs=None)
    assert Budget(epochs=1, seconds=0.1).epochs == 1


@pytest.mark.parametrize(
    ("value", "written"), [(0.5, 0.5), (math.nan, None), (math.inf, None), (-math.inf, None)]
)
def test_estimates_become_plain_json(value, written):
    found = Estimate(value, 1.0, {"estimator": "own"}).to_json()
    assert found == {"value": written, "seconds": 1.0, "provenance": {"estimator": "own"}}
    assert json.loads(json.dumps(found, allow_nan=False)) == found
