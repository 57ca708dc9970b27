from dataclasses import replace

import numpy as np
import pytest

from hwnas.errors import ProfileError
from hwnas.export.bags import SpaceBags
from hwnas.export.layers_onnx import architecture_to_onnx
from hwnas.kernels import FUSION, lower
from hwnas.predictors import LatencyPredictor, SpacePredictor
from hwnas.predictors.borrow import Source, borrow
from hwnas.profiles import DeviceProfile, ProfiledBags, Records
from hwnas.profiling.bags import profiled_bags
from hwnas.spaces import space


@pytest.fixture
def slow_records(slow):
    """What is measured of the device that is 1.8 times as slow."""
    return DeviceProfile.open("slow").read()


def only(records, *kinds):
    """The records of some kinds of models."""
    kept = [item for item in records.observations if item.key.partition(":")[0] in kinds]
    return Records(kept, records.definitions, records.sessions)


@pytest.fixture
def source(sim):
    records = DeviceProfile.open("sim").read()
    return Source(records, profiled_bags(records, "simulated"))


def errors(predictor, bags):
    judged = [item for item in bags.networks if item.judged]
    measured = np.array([item.measurement.latency_ms for item in judged])
    return np.abs(predictor.predict_networks(judged, bags) / measured - 1)


@pytest.mark.parametrize("kinds", [("network",), ("call", "network"), ("call", "edge", "network")])
def test_networks_alone_set_the_scale(source, slow_records, kinds):
    records = only(slow_records, *kinds)
    bags = profiled_bags(records, "simulated")
    found = borrow(records, bags, {"sim": source})
    assert found.source == "sim" and found.networks == 9
    assert found.cross_validated_error_pct < 2
    assert errors(found.predictor, merged(bags, source)).max() < 0.02


def merged(bags, source):
    return ProfiledBags({**source.bags.block_kernels, **bags.block_kernels}, bags.networks)


def test_parts_tell_the_factor_and_own_ones_take_precedence(source, slow_records):
    bags = profiled_bags(slow_records, "simulated")
    found = borrow(slow_records, bags, {"sim": source})
    assert found.factor == pytest.approx(1.8, rel=0.01)
    own = LatencyPredictor().fit(slow_records, bags)
    assert found.predictor.call_ms_ == own.call_ms_
    assert own.blocks_ms_.items() <= found.predictor.blocks_ms_.items()
    assert own.kernels_.table_.items() <= found.predictor.kernels_.table_.items()
    assert len(found.predictor.kernels_.table_) > len(own.kernels_.table_)
    assert errors(found.predictor, bags).mean() <= errors(own, bags).mean()
    assert found.predictor.fitted_on_ == slow_records.digest()


def test_it_is_a_predictor_as_any_other(source, slow_records, tmp_path):
    records = only(slow_records, "call", "network")
    found = borrow(records, profiled_bags(records, "simulated"), {"sim": source}).predictor
    found.save(tmp_path / "predictor.json")
    again = LatencyPredictor.load(tmp_path / "predictor.json")
    bags = SpaceBags(space("resnet-32"))
    genotypes = bags.space.sample(np.random.default_rng(0), 200)
    first, second = SpacePredictor(found, bags), SpacePredictor(again, bags)
    assert (first.predict_ms(genotypes) == second.predict_ms(genotypes)).all()
    assert (first.bounds_ms(genotypes, 0.9)[1] == second.bounds_ms(genotypes, 0.9)[1]).all()
    model = architecture_to_onnx(bags.space.decode(genotypes[0]))
    kernels = lower(model, FUSION["onnxruntime"]).kernels
    assert found.predict_bag(kernels) == again.predict_bag(kernels)
    assert found.predict_bag(kernels).latency_ms == pytest.approx(
        first.predict_ms(genotypes[:1])[0], rel=0.05
    )


def test_the_source_that_fits_is_found(source, slow_records):
    # The same device, each part of which is off by a factor of its own.
    rng = np.random.default_rng(0)
    factors = {item.key: float(np.exp(rng.normal(0, 1))) for item in source.records.observations}
    spoilt = Records(
        [
            replace(item, quiet_ms=item.quiet_ms * factors[item.key])
            if item.key.startswith(("kernel:", "block:"))
            else item
            for item in source.records.observations
        ],
        source.records.definitions,
        source.records.sessions,
    )
    bad = Source(spoilt, profiled_bags(spoilt, "simulated"))
    records = only(slow_records, "network")
    bags = profiled_bags(records, "simulated")
    found = borrow(records, bags, {"bad": bad, "sim": source})
    alone = borrow(records, bags, {"bad": bad})
    assert found.source == "sim"
    assert found.cross_validated_error_pct < alone.cross_validated_error_pct


def test_what_is_still_needed_is_said(source, slow_records):
    records = only(slow_records, "network")
    found = borrow(records, profiled_bags(records, "simulated"), {"sim": source})
    assert found.needs_more(found.cross_validated_error_pct) is None
    more = found.needs_more(found.cross_validated_error_pct / 2)
    assert more is not None and 1 <= more <= 99 * found.networks


def test_judged_networks_do_not_change_the_fit(source, slow_records):
    records = only(slow_records, "call", "network")
    bags = profiled_bags(records, "simulated")
    fitted = ProfiledBags(bags.block_kernels, [n for n in bags.networks if not n.judged])
    first = borrow(records, bags, {"sim": source}).predictor.to_json()
    assert first == borrow(records, fitted, {"sim": source}).predictor.to_json()


def test_too_little_is_refused_with_advice(source, slow_records):
    records = only(slow_records, "network")
    bags = profiled_bags(records, "simulated")
    with pytest.raises(ProfileError, match="no device to borrow from"):
        borrow(records, bags, {})
    few = ProfiledBags(bags.block_kernels, bags.networks[:2])
    with pytest.raises(ProfileError, match="at least 5 are needed even where another device"):
        borrow(records, few, {"sim": source})
    bare = Source(only(source.records, "call", "network"), source.bags)
    with pytest.raises(ProfileError, match="'sim' has no kernel measured to borrow"):
        borrow(records, bags, {"sim": bare})
