import onnx
import pytest
from onnx import TensorProto

from hwnas.export.kernel_types import (
    are_positive,
    index_limits,
    input_types,
    is_embedding,
    is_typed,
    output_type,
)
from hwnas.export.kernels_onnx import kernel_model
from hwnas.kernels import Kernel

EMBEDDING = Kernel.from_key("Gather|{}|1x10|50x32|1x10x32|int64")
LOOK_UP = Kernel.from_key('Gather|{"axis":1}|4x7x3,5||4x5x3|float32')
CHOICE = Kernel.from_key("Where|{}|2x3,2x3,2x3||2x3|bool")


def test_a_condition_chooses_among_floats_and_indices_look_up_floats():
    assert input_types(CHOICE) == [TensorProto.BOOL, TensorProto.FLOAT, TensorProto.FLOAT]
    assert output_type(CHOICE) == output_type(EMBEDDING) == TensorProto.FLOAT
    assert input_types(EMBEDDING) == [TensorProto.INT64]
    assert input_types(LOOK_UP) == [TensorProto.FLOAT, TensorProto.INT64]


def test_whole_numbers_that_are_looked_up_by_constants_are_no_embedding():
    data = Kernel.from_key("Gather|{}|5x3|2|2x3|int64")
    assert is_embedding(EMBEDDING) and not is_embedding(data) and not is_embedding(LOOK_UP)
    assert output_type(data) == TensorProto.INT64


def test_indices_stay_below_the_rows_of_their_table():
    assert index_limits(EMBEDDING) == {0: 50} and index_limits(LOOK_UP) == {1: 7}
    assert index_limits(CHOICE) == {}
    model = onnx.load_model_from_string(kernel_model(EMBEDDING)[0])
    assert {item.key: item.value for item in model.metadata_props} == {"hwnas.below.input0": "50"}


def test_roots_are_fed_what_has_one():
    root = Kernel.from_key("Sqrt|{}|1x8||1x8|float32")
    assert are_positive(root) and not are_positive(CHOICE)
    model = onnx.load_model_from_string(kernel_model(root)[0])
    assert [item.key for item in model.metadata_props] == ["hwnas.positive.input0"]


@pytest.mark.parametrize(
    ("key", "typed"),
    [
        ("Add|{}|2x3,2x3||2x3|int64", True),
        # They are fed zeros, and dividing by these ends the process.
        ("Div|{}|2x3,2x3||2x3|int64", False),
        ("Relu|{}|2x3||2x3|float16", False),
        ("Relu|{}|2x3||2x3|float32", True),
    ],
)
def test_what_can_be_written_of_a_type(key, typed):
    assert is_typed(Kernel.from_key(key)) is typed


def test_a_cast_gives_what_it_casts_to():
    assert output_type(Kernel.from_key('Cast|{"to":9}|2||2|float32')) == TensorProto.BOOL
    assert output_type(Kernel.from_key('Cast|{"to":"odd"}|2||2|float32')) == TensorProto.FLOAT
    assert output_type(Kernel.from_key("Less|{}|2,2||2|float32")) == TensorProto.BOOL
