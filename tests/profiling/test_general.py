from collections import Counter

from hwnas.export.parts_onnx import kernel_part
from hwnas.profiling.general import KINDS, MOST_MACS, general_kernels


def test_every_kernel_that_is_drawn_can_be_measured_and_is_the_kernel_that_was_drawn():
    kernels = general_kernels(150, 3)
    assert len({kernel.key for kernel in kernels}) == 150
    missing = [kernel.key for kernel in kernels if kernel_part(kernel) is None]
    assert missing == []


def test_they_are_of_all_kinds_and_sizes():
    kernels = general_kernels(400, 0)
    families = Counter(kernel.family for kernel in kernels)
    for family in ("pointwise", "dense", "depthwise", "grouped", "vector", "matrix", "pool"):
        assert families[family] >= 10
    assert sum(KINDS.values()) == 100
    heavy = sorted(kernel.macs for kernel in kernels)
    assert heavy[-1] <= MOST_MACS
    assert heavy[-1] > 100 * heavy[len(heavy) // 2] > 0


def test_a_longer_list_begins_with_a_shorter_one_and_seeds_differ():
    assert general_kernels(50, 1)[:20] == general_kernels(20, 1)
    assert general_kernels(20, 1) != general_kernels(20, 2)
    assert general_kernels(0, 1) == []
