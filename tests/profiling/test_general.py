from collections import Counter

import onnx

from hwnas.export.parts_onnx import kernel_part
from hwnas.kernels import FUSION, lower
from hwnas.predictors.features import window_axes
from hwnas.profiling.general import KINDS, MOST_MACS, general_kernels


def test_every_kernel_that_is_drawn_can_be_measured_and_is_the_kernel_that_was_drawn():
    kernels = general_kernels(150, 3)
    assert len({kernel.key for kernel in kernels}) == 150
    missing = [kernel.key for kernel in kernels if kernel_part(kernel) is None]
    assert missing == []


def test_they_are_of_all_kinds_and_sizes():
    kernels = general_kernels(400, 0)
    families = Counter(kernel.family for kernel in kernels)
    assert len({kernel.op for kernel in kernels}) >= 30
    for family in ("pointwise", "dense", "depthwise", "grouped", "vector", "matrix", "pool"):
        assert families[family] >= 10
    assert sum(KINDS.values()) == 100
    heavy = sorted(kernel.macs for kernel in kernels)
    assert heavy[-1] <= MOST_MACS
    assert heavy[-1] > 100 * heavy[len(heavy) // 2] > 0


def test_images_are_square_or_wide():
    own = [k for k in general_kernels(400, 0) if k.op == "Conv" and window_axes(k) == 2]
    images = [kernel.inputs[0] for kernel in own]
    wide = [shape for shape in images if shape[2] < shape[3]]
    assert 10 <= len(wide) <= len(images) / 4


def test_sums_are_drawn_where_the_runtime_fuses_them_whatever_its_blocks():
    grouped = [k for k in general_kernels(800, 0) if k.op == "Conv" and k.groups > 1]
    summed = [kernel for kernel in grouped if "Add" in kernel.fused]
    assert summed
    for rules in (FUSION["onnxruntime"], FUSION["onnxruntime-avx"]):
        for kernel in summed:
            model = onnx.load_model_from_string(kernel_part(kernel).model)
            assert kernel in lower(model, rules).kernels


def test_a_longer_list_begins_with_a_shorter_one_and_seeds_differ():
    assert general_kernels(50, 1)[:20] == general_kernels(20, 1)
    assert general_kernels(20, 1) != general_kernels(20, 2)
    assert general_kernels(0, 1) == []


def test_kernels_of_signals_leave_the_others_in_their_order():
    kernels = general_kernels(300, 0)
    ninths = [kernel for position, kernel in enumerate(kernels) if position % 10 == 9]
    others = [kernel for position, kernel in enumerate(kernels) if position % 10 != 9]
    assert all(k.op == "Sum" or window_axes(k) == 1 for k in ninths)
    assert not any(k.op == "Sum" or window_axes(k) == 1 for k in others)
