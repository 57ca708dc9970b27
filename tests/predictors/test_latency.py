import numpy as np
import pytest

from hwnas.errors import ProfileError, SpecError
from hwnas.export.bags import SpaceBags
from hwnas.export.layers_onnx import architecture_to_onnx
from hwnas.kernels import FUSION, lower
from hwnas.predictors import LatencyPredictor, SpacePredictor, evaluate
from hwnas.profiles import DeviceProfile, Records
from hwnas.profiling.bags import profiled_bags
from hwnas.runtimes.sim_engine import model_ns
from hwnas.spaces import space


@pytest.fixture(scope="module")
def fitted(measured):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HWNAS_PROFILES", str(measured))
        records = DeviceProfile.open("sim").read()
    bags = profiled_bags(records, "simulated")
    return LatencyPredictor().fit(records, bags), records, bags


def test_left_out_networks_are_predicted_better_than_by_any_baseline(fitted):
    predictor, _, bags = fitted
    result = evaluate(predictor, bags)
    assert result["count"] == 15 and result["fitted_on"] == 45
    # The simulated noise is 0.4 %, its residual is a smooth function of the network's size.
    assert result["mape_pct"] < 1
    for baseline in result["baselines"].values():
        assert result["mape_pct"] < baseline["mape_pct"]


def test_judged_networks_do_not_change_the_fit(fitted):
    predictor, records, bags = fitted
    dropped = type(bags)(bags.block_kernels, [n for n in bags.networks if not n.judged])
    assert LatencyPredictor().fit(records, dropped).to_json() == predictor.to_json()


def test_saving_and_loading_gives_the_same_to_the_bit(fitted, tmp_path):
    predictor, _, _ = fitted
    predictor.save(tmp_path / "predictor.json")
    again = LatencyPredictor.load(tmp_path / "predictor.json")
    bags = SpaceBags(space("resnet-32"))
    genotypes = bags.space.sample(np.random.default_rng(0), 500)
    first, second = SpacePredictor(predictor, bags), SpacePredictor(again, bags)
    assert (first.predict_ms(genotypes) == second.predict_ms(genotypes)).all()
    assert (first.bounds_ms(genotypes, 0.9)[1] == second.bounds_ms(genotypes, 0.9)[1]).all()


def test_genotypes_and_onnx_files_are_priced_near_the_truth(fitted):
    predictor, _, _ = fitted
    bags = SpaceBags(space("resnet-32"))
    pricer = SpacePredictor(predictor, bags)
    genotypes = bags.space.sample(np.random.default_rng(7), 20)
    for row, predicted in zip(genotypes, pricer.predict_ms(genotypes), strict=True):
        model = architecture_to_onnx(bags.space.decode(row))
        truth = model_ns(model) / 1e6
        assert predicted == pytest.approx(truth, rel=0.03)
        priced = predictor.predict_bag(lower(model, FUSION["onnxruntime"]).kernels)
        assert priced.latency_ms == pytest.approx(truth, rel=0.05)
        assert priced.covered == 1
        assert priced.low_ms <= priced.latency_ms <= priced.high_ms


def test_the_slot_table_adds_up_to_the_sum_of_blocks(fitted):
    predictor, _, _ = fitted
    bags = SpaceBags(space("resnet-32"))
    pricer = SpacePredictor(predictor, bags)
    genotypes = bags.space.sample(np.random.default_rng(3), 50)
    constant, slots = pricer.slot_costs_ms()
    total = constant + sum(
        slot.costs_ms[tuple(genotypes[:, c] for c in slot.choices)] for slot in slots
    )
    prices, _ = predictor.block_prices(bags.keys, bags.kernels)
    scale = np.exp(predictor.network_residual_.scale_)
    for row, own in zip(bags.block_indices(genotypes), total, strict=True):
        parts = prices[row[row >= 0]].sum()
        assert own == pytest.approx((predictor.call_ms_ + parts) * scale)
    assert pricer.table_ms(genotypes) == pytest.approx(total)


def test_bounds_hold_for_left_out_networks(fitted):
    predictor, _, bags = fitted
    judged = [item for item in bags.networks if item.judged]
    latency = predictor.predict_networks(judged, bags)
    error = np.log([i.measurement.latency_ms for i in judged] / latency)
    from hwnas.predictors.conformal import conformal_quantile

    bound = conformal_quantile(predictor.network_residual_.out_of_fold_, 0.9)
    # 15 networks at 90 %: fewer than 9 within has a probability below 1e-3.
    assert (error <= bound).sum() >= 9


def test_an_unknown_operator_is_never_free_and_never_covered(fitted):
    import onnx
    from onnx import TensorProto, helper

    predictor, _, _ = fitted
    value = helper.make_tensor_value_info
    node = helper.make_node("TopK", ["x", "k"], ["v", "i"])
    k = onnx.numpy_helper.from_array(np.array([5]), "k")
    graph = helper.make_graph(
        [node],
        "g",
        [value("x", TensorProto.FLOAT, [1, 1000])],
        [value("v", TensorProto.FLOAT, [1, 5]), value("i", TensorProto.INT64, [1, 5])],
        [k],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    found = predictor.predict_bag(lower(model, FUSION["onnxruntime"]).kernels)
    assert found.covered == 0
    assert all(share.ms > 0 and share.source == "roofline" for share in found.kernels)
    assert found.high_ms / found.low_ms > 3


def test_too_little_is_refused_with_advice(tmp_path, fitted):
    _, records, bags = fitted
    with pytest.raises(ProfileError, match="0 networks"):
        LatencyPredictor().fit(Records(), type(bags)())
    (tmp_path / "broken.json").write_text('{"schema":1')
    with pytest.raises(ProfileError, match="fit again"):
        LatencyPredictor.load(tmp_path / "broken.json")
    (tmp_path / "newer.json").write_text('{"schema":99}')
    with pytest.raises(ProfileError, match="schema 99, this hwnas knows 4: fit again"):
        LatencyPredictor.load(tmp_path / "newer.json")
    with pytest.raises(ProfileError, match="no fitted predictor"):
        LatencyPredictor.load(tmp_path / "none.json")


def test_intervals_of_another_family_are_wider_and_hold_the_truth(fitted):
    predictor, _, _ = fitted
    widths, held = {}, []
    for name in ("resnet-32", "shufflenet-32", "vit-32"):
        bags = SpaceBags(space(name))
        genotypes = bags.space.sample(np.random.default_rng(5), 12)
        low, high = SpacePredictor(predictor, bags).bounds_ms(genotypes, 0.95)
        widths[name] = float(np.median(high / low))
        truth = [model_ns(architecture_to_onnx(bags.space.decode(row))) / 1e6 for row in genotypes]
        held.append(np.mean((low <= truth) & (truth <= high)))
    assert widths["resnet-32"] < 1.1
    assert min(widths["shufflenet-32"], widths["vit-32"]) > 1.3
    # The resnet-32 profile knows no depthwise kernel and no attention.
    assert held[0] >= 0.75 and held[1] >= 0.75


@pytest.fixture(scope="module")
def network():
    resnet = space("resnet-32")
    row = resnet.sample(np.random.default_rng(1), 1)[0]
    return lower(architecture_to_onnx(resnet.decode(row)), FUSION["onnxruntime"]).kernels


def test_an_operator_without_a_kernel_leaves_the_latency_open_above(fitted, network):
    predictor, _, _ = fitted
    sure, unsure = (predictor.predict_bag(network, count) for count in (0, 5))
    assert unsure.latency_ms == sure.latency_ms and unsure.low_ms == sure.low_ms
    assert unsure.covered < sure.covered == 1
    assert unsure.high_ms == np.inf and np.isfinite(sure.high_ms)
    assert (sure.not_covered, unsure.not_covered) == (0, 5)
    nothing = predictor.predict_bag({}, 3)
    assert nothing.covered == 0 and nothing.high_ms == np.inf and nothing.latency_ms > 0
    assert predictor.predict_bag({}).covered == 1


def test_a_level_that_the_networks_do_not_tell_gives_the_highest_that_they_do(fitted, network):
    predictor, _, _ = fitted
    # 45 networks were fitted on.
    assert predictor.highest_level == 44 / 46
    asked, given = (predictor.predict_bag(network, level=level) for level in (0.999, 44 / 46))
    assert asked == given and asked.level == 44 / 46
    narrower = predictor.predict_bag(network, level=0.9)
    assert narrower.level == 0.9
    assert given.low_ms <= narrower.low_ms and given.high_ms >= narrower.high_ms


@pytest.mark.parametrize("level", [0, 1, -0.5, 1.5, 90, float("nan"), None, "0.9", True])
def test_levels_outside_are_refused(fitted, network, level):
    predictor, _, _ = fitted
    with pytest.raises(SpecError, match="level must be a number above 0 and below 1"):
        predictor.predict_bag(network, level=level)
    pricer = SpacePredictor(predictor, SpaceBags(space("resnet-32")))
    with pytest.raises(SpecError, match="quantile must be a number above 0 and below 1"):
        pricer.bounds_ms(np.zeros((1, 11), dtype=np.int64), level)


@pytest.mark.parametrize("value", [-1, float("nan"), 1.5, None, "2", True, 10**30])
def test_counts_that_are_none_are_refused(fitted, network, value):
    predictor, _, _ = fitted
    with pytest.raises(SpecError, match="not_covered must be a whole number"):
        predictor.predict_bag(network, value)
    kernel = next(iter(network))
    with pytest.raises(SpecError, match="the count of 'Conv.*' must be a whole number"):
        predictor.predict_bag({kernel: value})


@pytest.mark.parametrize("bag", [None, "abc", ["Conv"], {"Conv": 1}])
def test_what_is_no_bag_is_refused(fitted, bag):
    with pytest.raises(SpecError, match="a bag is a mapping from kernels"):
        fitted[0].predict_bag(bag)


def test_a_predictor_that_is_not_fitted_says_so(network, tmp_path):
    for use in (
        lambda: LatencyPredictor().predict_bag(network),
        lambda: LatencyPredictor().save(tmp_path / "p.json"),
        lambda: LatencyPredictor().highest_level,
        lambda: SpacePredictor(LatencyPredictor(), SpaceBags(space("resnet-32"))),
    ):
        with pytest.raises(ProfileError, match="not fitted: call fit, or"):
            use()


def test_a_latency_that_is_not_finite_is_an_error(fitted, network, tmp_path):
    fitted[0].save(tmp_path / "predictor.json")
    broken = LatencyPredictor.load(tmp_path / "predictor.json")
    for scale in (1000.0, -1000.0):
        broken.model_residual_.scale_ = scale
        broken.model_residual_.range_ = (scale, scale)
        with pytest.raises(ProfileError, match="a finite number above 0.*fit again"):
            broken.predict_bag(network)
