import onnx
import pytest

from hwnas.export.kernels_onnx import kernel_model
from hwnas.kernels import FUSION, Kernel, lower
from hwnas.runtimes.ort_engine import Session

KEYS = [
    "LSTM|{HALF}|20x1x32|2x256x32,2x256x64,2x512,2x1x64,2x1x64|20x2x1x64,2x1x64,2x1x64|float32",
    "LSTM|{}|16x1x8,1x1x16,1x1x16|1x64x8,1x64x16,1x128|16x1x1x16,1x1x16,1x1x16|float32",
    # Lengths, peepholes, and only the last state that is wanted.
    "LSTM|{}|16x2x8|1x64x8,1x64x16,1x128,2,1x48|1x2x16|float32",
    "LSTM|{}|16x1x8|1x64x8,1x64x16|16x1x1x16|float32",
    "GRU|{RESET}|16x1x8,1x1x16|1x48x8,1x48x16,1x96|16x1x1x16,1x1x16|float32",
    "RNN|{}|16x1x8|1x16x8,1x16x16,1x32|16x1x1x16,1x1x16|float32",
    "Gather|{}|1x10|50x32|1x10x32|int64",
    "Gather|{}|4|50x32|4x32|int32",
    'Gather|{"axis":1}|4x7x3,5||4x5x3|float32',
    'Gather|{"axis":1}|1x17x32|scalar|1x32|float32',
    'Gather|{"axis":1}|1x8x4x4|6|1x6x4x4|float32',
    "Where|{}|4x6x8,4x6x8,4x6x8||4x6x8|bool",
    "Where|{}|1x1x6x8,1x4x6x8|scalar|1x4x6x8|bool",
    "Where|{}|4x6|4x6,scalar|4x6|float32",
    "Where|{}|4x6,4x6|4x6|4x6|float32",
    'Cast|{"to":7}|1x8x4x4||1x8x4x4|float32',
    'Cast|{"to":1}|2x3||2x3|bool',
    "Equal|{}|2x3|1x3|2x3|int64",
    'Concat|{"axis":1}|2x3|2x5|2x8|int32',
    'Slice|{"ends":[2],"starts":[0]}|4x3||2x3|float32',
    'Slice|{"axes":[1],"ends":[2],"starts":[0]}|1x4x9||1x2x9|float32',
    "Sqrt|{}|1x64||1x64|float32",
    "Pow|{}|1x64|scalar|1x64|float32",
    "MatMulIntegerToFloat|{}|1x5x16|16x6,6|1x5x6|uint8",
    'QLinearAveragePool|{"kernel_shape":[2,2],"strides":[2,2]}|1x16x8x8||1x16x4x4|uint8',
    'QLinearConcat|{"axis":1}|1x16x4x4,1x8x4x4||1x24x4x4|int8',
]


def kernel(key):
    size = 64 if "HALF" in key else 16
    both = f'{{"direction":"bidirectional","hidden_size":{size}}}'
    plain = f'{{"hidden_size":{size}}}'
    reset = f'{{"hidden_size":{size},"linear_before_reset":1}}'
    key = key.replace("{HALF}", both).replace("{RESET}", reset)
    recurrent = key.startswith(("LSTM", "GRU", "RNN"))
    return Kernel.from_key(key.replace("{}", plain) if recurrent else key)


@pytest.mark.parametrize("key", KEYS)
def test_it_runs_alone_and_is_itself(key):
    own = kernel(key)
    model, edges = kernel_model(own)
    bag = lower(onnx.load_model_from_string(model), FUSION["onnxruntime"]).kernels
    assert own in bag and bag.total() == 1 + len(edges)
    session = Session(model)
    assert len(session.time(1)) == 1 and session.finite()


@pytest.mark.parametrize(
    "key",
    [
        # Batch first, which ONNX Runtime does not run on CPUs.
        'LSTM|{"hidden_size":16,"layout":1}|1x5x8|1x64x8,1x64x16|1x5x1x16|float32',
        # Lengths and weights that are fed, a hidden size that is missing or wrong.
        'LSTM|{"hidden_size":16}|5x2x8,2|1x64x8,1x64x16|5x1x2x16|float32',
        'LSTM|{"hidden_size":16}|5x1x8,1x64x8,1x64x16||5x1x1x16|float32',
        "LSTM|{}|5x1x8|1x64x8,1x64x16,1x128|5x1x1x16|float32",
        'LSTM|{"hidden_size":16}|5x1x8|1x64x8,1x64x16,1x1x16,1x1x16,1x1x16|5x1x1x16|float32',
        # A condition without what it chooses between.
        "Where|{}|2x3||2x3|bool",
        "Where|{}|2x3||2x3|float32",
    ],
)
def test_what_cannot_be_written_is_none(key):
    assert kernel_model(Kernel.from_key(key)) is None
