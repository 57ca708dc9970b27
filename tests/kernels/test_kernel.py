import pytest

from hwnas.errors import ProfileError
from hwnas.kernels import Kernel


def kernel(op, inputs=(), weights=(), outputs=(), dtype="float32", fused=(), **attributes):
    return Kernel(op, fused, tuple(sorted(attributes.items())), inputs, weights, outputs, dtype)


DENSE = kernel(
    "Conv",
    ((1, 8, 10, 10),),
    ((16, 8, 3, 3), (16,)),
    ((1, 16, 5, 5),),
    fused=("Add", "Relu"),
    group=1,
    strides=(2, 2),
    auto_pad="NOTSET",
    scale=0.5,
)


def convolution(channels, weight, outputs, group=1):
    return kernel("Conv", ((1, channels, 4, 4),), (weight,), (outputs,), group=group)


def test_titles_say_what_people_look_for():
    assert DENSE.title == "Conv+Add+Relu /2"
    own = kernel("Conv", kernel_shape=(3, 5), strides=(1, 2), group=8)
    assert own.title == "Conv 3×5 /1×2 g8"
    assert kernel("Softmax", axis=1).title == "Softmax"


def test_keys_are_canonical_and_read_back():
    assert DENSE.key == (
        'Conv+Add+Relu|{"auto_pad":"NOTSET","group":1,"scale":0.5,"strides":[2,2]}|'
        "1x8x10x10|16x8x3x3,16|1x16x5x5|float32"
    )
    scalar = kernel("Mul", ((1, 3), ()), (), ((1, 3),), dtype="float16")
    for own in (DENSE, scalar, kernel("Relu")):
        assert Kernel.from_key(own.key) == own
        assert hash(Kernel.from_key(own.key)) == hash(own)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "Conv|nonsense",
        "Conv|{}|1x2|3|4",
        "Conv|{}|1x2|3|4|float32|more",
        "Conv|not json|1|1|1|float32",
        "Conv|[]|1|1|1|float32",
        "Conv|{}|1xa|1|1|float32",
    ],
)
def test_a_text_that_is_no_key_is_refused(key):
    with pytest.raises(ProfileError, match="is not the key of a kernel"):
        Kernel.from_key(key)


@pytest.mark.parametrize(
    ("own", "macs"),
    [
        (DENSE, 16 * 5 * 5 * 8 * 9),
        (convolution(8, (8, 1, 3, 3), (1, 8, 4, 4), group=8), 8 * 16 * 9),
        (kernel("ConvTranspose", ((1, 4, 3, 3),), ((4, 2, 2, 2),), ((1, 2, 6, 6),)), 36 * 8),
        (kernel("Gemm", ((2, 5),), ((7, 5),), ((2, 7),), transB=1), 2 * 7 * 5),
        (kernel("Gemm", ((5, 2),), ((7, 5),), ((2, 7),), transA=1), 2 * 7 * 5),
        (kernel("MatMul", ((3, 2, 5), (3, 5, 4)), (), ((3, 2, 4),)), 3 * 2 * 4 * 5),
        (kernel("MatMul", ((3, 5, 2), (3, 5, 4)), (), ((3, 2, 4),), transA=1), 3 * 2 * 4 * 5),
        (kernel("MatMul", ((3, 2, 5), (3, 4, 5)), (), ((3, 2, 4),), transB=1), 3 * 2 * 4 * 5),
        # A constant on the left: the weight is the first operand.
        (kernel("MatMul", ((7, 4),), ((2, 7),), ((2, 4),)), 2 * 4 * 7),
        (kernel("MatMul", ((5,), (5, 4)), (), ((4,),)), 20),
        (kernel("ConvTranspose", ((1, 4, 3, 3),), ((4, 1, 2, 2),), ((1, 2, 6, 6),), group=2), 144),
        (kernel("QLinearConv", ((1, 8, 4, 4),), ((6, 8, 3, 3), (6,)), ((1, 6, 2, 2),)), 24 * 72),
        (
            kernel("ConvInteger", ((1, 8, 4, 4),), ((6, 4, 3, 3),), ((1, 6, 2, 2),), group=2),
            24 * 36,
        ),
        (kernel("QLinearMatMul", ((5, 3),), ((3, 2),), ((5, 2),), dtype="uint8"), 30),
        (kernel("DynamicQuantizeMatMul", ((5, 3),), ((3, 2), (2,)), ((5, 2),)), 30),
        (kernel("QGemm", ((5, 3),), ((2, 3), (2,)), ((5, 2),), transB=1), 30),
        (kernel("Attention", ((1, 2, 5, 8), (1, 2, 7, 8), (1, 2, 7, 3)), (), ((1, 2, 5, 3),)), 770),
        (kernel("LSTM", ((5, 1, 8),), ((1, 64, 8), (1, 64, 16)), ((5, 1, 1, 16),)), 5 * 64 * 24),
        # Both ways, three gates, states that are fed: these multiply nothing.
        (
            kernel(
                "GRU",
                ((7, 1, 8), (2, 1, 16)),
                ((2, 48, 8), (2, 48, 16), (2, 96)),
                ((7, 2, 1, 16), (2, 1, 16)),
            ),
            7 * 2 * 3 * 16 * (8 + 16),
        ),
        (
            kernel(
                "LSTM",
                ((16, 1, 8), (1, 1, 16), (1, 1, 16)),
                ((1, 64, 8), (1, 64, 16)),
                ((16, 1, 1, 16),),
            ),
            16 * 4 * 16 * (8 + 16),
        ),
        (kernel("Split", ((1, 8, 4),), (), ((1, 4, 4), (1, 4, 4)), axis=1), 0),
        (kernel("Gather", ((1, 5),), ((99, 4),), ((1, 5, 4),), dtype="int64"), 0),
        (
            kernel("Einsum", ((2, 3, 4), (2, 5, 4)), (), ((2, 3, 5),), equation="bid,bjd->bij"),
            2 * 3 * 5 * 4,
        ),
        (kernel("LayerNormalization", ((1, 8, 4),), ((4,), (4,)), ((1, 8, 4),)), 0),
        (kernel("Relu", ((1, 8, 4, 4),), (), ((1, 8, 4, 4),)), 0),
    ],
)
def test_multiply_accumulate_operations(own, macs):
    assert own.macs == macs


def test_bytes_count_every_tensor_once_in_its_type():
    elements = 800 + 16 * 72 + 16 + 400
    assert DENSE.input_elements + DENSE.weight_elements + DENSE.output_elements == elements
    assert DENSE.bytes_moved == 4 * elements
    half = kernel("Relu", ((1, 8),), (), ((1, 8),), dtype="float16")
    assert half.element_bytes == 2 and half.bytes_moved == 32


def test_of_a_table_only_the_rows_that_are_looked_up_count():
    own = kernel("Gather", ((1, 5),), ((1000, 16),), ((1, 5, 16),), dtype="int64")
    assert (own.input_elements, own.weight_elements, own.output_elements) == (5, 80, 80)
    token = kernel("Gather", ((1, 17, 32),), ((),), ((1, 32),), axis=1)
    assert (token.input_elements, token.weight_elements) == (32, 1)


@pytest.mark.parametrize(
    ("own", "family"),
    [
        (DENSE, "dense"),
        (convolution(8, (8, 1, 3, 3), (1, 8, 4, 4), group=8), "depthwise"),
        (convolution(8, (8, 2, 3, 3), (1, 8, 4, 4), group=4), "grouped"),
        (convolution(8, (8, 8, 1, 1), (1, 8, 4, 4)), "pointwise"),
        (convolution(8, (8, 8, 1, 1), (1, 8, 1, 1)), "vector"),
        (kernel("Gemm", ((1, 2),), ((3, 2),), ((1, 3),)), "matrix"),
        (kernel("QLinearMatMul"), "matrix"),
        (kernel("Attention"), "matrix"),
        (kernel("LSTM"), "matrix"),
        (kernel("GRU"), "matrix"),
        (kernel("MatMulIntegerToFloat"), "matrix"),
        (kernel("Where", dtype="bool"), "elementwise"),
        (kernel("Cast"), "elementwise"),
        (kernel("Equal", dtype="int64"), "elementwise"),
        (kernel("Gather"), "other"),
        (kernel("Split"), "other"),
        (kernel("QuickGelu"), "elementwise"),
        (kernel("LayerNormalization"), "other"),
        (kernel("Resize"), "other"),
        (kernel("QLinearConv", (), ((8, 1, 3, 3),), group=8), "depthwise"),
        (kernel("GlobalAveragePool"), "pool"),
        (kernel("ReduceMean"), "pool"),
        (kernel("HardSwish"), "elementwise"),
        (kernel("Reshape"), "other"),
    ],
)
def test_families(own, family):
    assert own.family == family


def test_attributes_have_defaults():
    assert DENSE.attribute("scale", 1.0) == 0.5
    assert DENSE.attribute("missing", 3) == 3
    assert DENSE.groups == 1 and kernel("Conv", group=4).groups == 4 and kernel("Relu").groups == 1
