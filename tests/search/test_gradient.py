import json

import numpy as np
import pytest


@pytest.mark.parametrize("limit", [0.2, 0.3, 0.4])
def test_the_limit_is_reached_from_below_without_tuning(search, predictor, limit):
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


def test_a_loose_limit_has_no_price(search, predictor):
    found = search(predictor, 100.0)
    best = found.ask(1)[0]
    assert found.relaxation.multiplier == 0
    assert found.relaxation.model.loss(best) < -0.9


def test_a_state_survives(search, predictor):
    first = search(predictor, 0.3, steps=60)
    first.ask(2)
    second = search(predictor, 0.3, steps=60)
    second.load_state_dict(json.loads(json.dumps(first.state_dict())), first.proposed)
    assert second.ask(3) == first.ask(3)
