import pytest

from hwnas.kernels import Kernel
from hwnas.kernels.traffic import moved_bytes, read_elements


def test_of_a_table_the_rows_that_are_looked_up_are_read():
    assert read_elements("Gather", [(1000, 16)], 5 * 16) == 80
    assert read_elements("Slice", [(1, 8, 4, 4)], 64) == 64
    assert read_elements("Split", [(1, 8, 4, 4)], 64) == 128
    assert read_elements("Gather", [()], 16) == 1


@pytest.mark.parametrize(
    ("key", "size_bytes"),
    [
        # Five indices of 8 bytes, five rows of 16 floats read and written.
        ("Gather|{}|1x5|1000x16|1x5x16|int64", 5 * 8 + 2 * 4 * 80),
        ('Gather|{"axis":1}|1x17x32|scalar|1x32|float32', 4 * 64 + 8),
        ("Where|{}|2x3,2x3,2x3||2x3|bool", 6 + 3 * 24),
        ('Cast|{"to":7}|2x3||2x3|float32', 24 + 48),
        ('Cast|{"to":1}|2x3||2x3|bool', 6 + 24),
        ("Equal|{}|2x3|scalar|2x3|int64", 48 + 8 + 6),
        ("QuantizeLinear|{}|2x3||2x3|float32", 24 + 6),
        ("DequantizeLinear|{}|2x3||2x3|uint8", 6 + 24),
        ("MatMulIntegerToFloat|{}|2x3|3x5|2x5|uint8", 6 + 15 + 40),
        ('Split|{"axis":1}|1x8x2x2||1x4x2x2,1x4x2x2|float32', 2 * 4 * 32),
        ("LSTM|{}|5x1x8|1x64x8,1x64x16|5x1x1x16|float32", 4 * (40 + 64 * 24 + 80)),
    ],
)
def test_bytes_that_are_moved(key, size_bytes):
    assert Kernel.from_key(key).bytes_moved == size_bytes


def test_a_cast_to_a_type_that_is_not_known_counts_as_one_to_floats():
    assert moved_bytes("Cast", "int8", 99, (6, 0, 0), 6) == 6 + 24
    assert moved_bytes("Cast", "int8", "odd", (6, 0, 0), 6) == 6 + 24
