import json
import math

import numpy as np
import pytest

from hwnas.errors import RequestError
from hwnas.estimators import Sample
from hwnas.estimators.encoding import Features, architecture_features
from hwnas.spaces import Architecture, BlockSpec, space

MICRO = space("micro")


def samples(count=12, **more):
    genotypes = MICRO.sample(np.random.default_rng(0), count).tolist()
    return [Sample(MICRO.decode(genes), **more) for genes in genotypes]


def test_features_by_hand():
    conv = BlockSpec.of("conv", channels=4, kernel=3, stride=2, activation="relu")
    head = BlockSpec.of("classifier", classes=5)
    found = architecture_features(Architecture((3, 8, 8), (conv, conv, head)))
    assert found["size:depth"] == 3 and found["size:image"] == 8
    assert found["block:1/1 conv"] == found["block:1/2 conv"] == 1
    assert found["block:1/4 classifier"] == 1
    assert found["block:1/1 activation=relu"] == 1
    assert found["block:1/1 channels"] == pytest.approx(math.log(5))
    assert found["block:1/4 classes"] == pytest.approx(math.log(6))
    macs = 4 * 3 * 9 * 16 + 4 * 4 * 9 * 4 + 4 * 5
    assert found["size:macs"] == pytest.approx(math.log1p(macs))


@pytest.mark.parametrize("name", ["micro", "mobilenet-32", "vit-32", "nasbench201"])
def test_only_the_order_and_pairing_of_settings_at_one_resolution_are_not_seen(name):
    own = space(name)
    drawn = [own.decode(genes) for genes in own.sample(np.random.default_rng(1), 30).tolist()]
    rows = (
        Features()
        .fit([Sample(item) for item in drawn], 0)
        .transform([Sample(item) for item in drawn])
    )
    assert np.isfinite(rows).all()
    by_row = {}
    for item, row in zip(drawn, rows.round(9) + 0.0, strict=True):
        settings = sorted(
            (block.input_shape[-1], block.spec.kind, name, str(value))
            for block in item.placed
            for name, value in block.spec.arguments
        )
        assert by_row.setdefault(row.tobytes(), settings) == settings
    assert len(by_row) >= 20


def test_columns_are_standardised_and_groups_weigh_the_same():
    own = [
        Sample(item.architecture, {"a": float(i), "same": 1.0}, (i / 50,))
        for i, item in enumerate(samples())
    ]
    features = Features().fit(own, 1)
    rows = features.transform(own)
    np.testing.assert_allclose(rows.mean(axis=0), 0, atol=1e-12)
    groups = {name.partition(":")[0] for name in features.names_}
    assert groups == {"size", "block", "score", "curve"}
    assert "score:same" not in features.names_
    for group in groups:
        inside = [name.startswith(f"{group}:") for name in features.names_]
        assert (rows[:, inside] ** 2).sum() == pytest.approx(len(own))


def test_a_wide_positive_score_is_taken_by_its_logarithm():
    own = [
        Sample(s.architecture, {"wide": 10.0**i, "low": -1.0 * i}) for i, s in enumerate(samples())
    ]
    features = Features().fit(own, 0)
    rows = features.transform(own)
    steps = np.diff(rows[:, features.names_.index("score:wide")])
    np.testing.assert_allclose(steps, steps[0])
    assert dict(zip(features.names_, features.logged_, strict=True))["score:low"] is False


def test_a_score_without_a_value_is_put_at_the_mean():
    own = [Sample(s.architecture, {"a": float(i)}) for i, s in enumerate(samples())]
    features = Features().fit(own, 0)
    column = features.names_.index("score:a")
    for value in (math.nan, math.inf):
        row = features.transform([Sample(own[0].architecture, {"a": value})])
        assert row[0, column] == 0


def test_what_was_fitted_must_be_given():
    own = [Sample(s.architecture, {"a": float(i)}, (i / 20,)) for i, s in enumerate(samples())]
    features = Features().fit(own, 1)
    with pytest.raises(RequestError, match="lacks a"):
        features.transform([Sample(own[0].architecture, {"b": 1.0}, (0.5,))])
    with pytest.raises(RequestError, match="first 1 epochs of a training; a sample has 0"):
        features.transform([Sample(own[0].architecture, {"a": 1.0})])


def test_scores_that_some_lack_are_left_out():
    own = samples()
    own[0] = Sample(own[0].architecture, {"a": 1.0})
    assert Features().fit(own, 0).scores_ == ()


def test_features_come_back_from_json():
    own = [Sample(s.architecture, {"a": 10.0**i}) for i, s in enumerate(samples())]
    features = Features().fit(own, 0)
    again = Features.from_json(json.loads(json.dumps(features.to_json())))
    np.testing.assert_array_equal(again.transform(own), features.transform(own))
