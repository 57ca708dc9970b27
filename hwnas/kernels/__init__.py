"""Kernels: an ONNX graph as a bag of fused operators with static shapes. onnx and numpy only."""

from hwnas.kernels.fusion import FUSION, FusionRules, depends_on_processor, fusion_name
from hwnas.kernels.input_shapes import graph_inputs, with_static_shapes
from hwnas.kernels.kernel import Kernel
from hwnas.kernels.lower import Lowered, lower
from hwnas.kernels.model_file import parse_model, read_model

__all__ = [
    "FUSION",
    "FusionRules",
    "Kernel",
    "Lowered",
    "graph_inputs",
    "depends_on_processor",
    "fusion_name",
    "lower",
    "parse_model",
    "read_model",
    "with_static_shapes",
]
