import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hwnas.export.weights import RandomWeights, serialised


def test_random_weights_keep_the_size_of_activations():
    values = RandomWeights().draw((64, 400))
    assert values.dtype == np.float32 and values.shape == (64, 400)
    assert values.std() == pytest.approx(400**-0.5, rel=0.02)
    assert abs(values.mean()) < 0.001
    assert RandomWeights().draw(()).shape == ()


def test_random_weights_repeat_by_seed_and_go_on_through_the_pool():
    first, again, other = RandomWeights(3), RandomWeights(3), RandomWeights(4)
    draws = [first.draw((700_000,)) for _ in range(3)]
    assert all(np.array_equal(own, again.draw((700_000,))) for own in draws)
    assert not np.array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0], other.draw((700_000,)))
    large = RandomWeights().draw((2_500_000,))
    assert np.isfinite(large).all() and large.std() == pytest.approx(1, rel=0.01)


@pytest.mark.parametrize(
    "value",
    [
        np.arange(300_000, dtype=np.float32).reshape(3, 100_000),
        np.array(6.0, np.float32),
        np.arange(6, dtype=np.int64)[::2],
        np.arange(6, dtype=">f4"),
        np.zeros((0, 3), np.float16),
    ],
)
def test_constants_read_back_as_they_are(value):
    graph = helper.make_graph(
        [helper.make_node("Identity", ["w"], ["y"])],
        "g",
        [],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.ones(2, np.float32), "before")],
    )
    model = helper.make_model(graph, producer_name="it")
    read = onnx.load_model_from_string(serialised(model, {"w": value, "again": value}))
    assert [item.name for item in read.graph.initializer] == ["before", "w", "again"]
    found = numpy_helper.to_array(read.graph.initializer[1])
    assert found.dtype == value.dtype.newbyteorder("=") and np.array_equal(found, value)
    del read.graph.initializer[1:]
    assert read == model
