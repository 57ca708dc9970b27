"""What a runtime fuses, as data, and the pass that applies it.

The rules state which operators vanish, which fold into the convolution before
them, and which run inside its kernel. They are checked against the graph that
the runtime itself writes (``tests/kernels/test_fusion.py``).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from hwnas.kernels.kernel import Shape


@dataclass(frozen=True)
class FusionRules:
    """What one runtime fuses.

    Args:
        removed: Operators that leave no kernel at inference.
        folded: For an operator, those after it that fold into its weights.
        activations: For an operator, the element-wise ones that run in its kernel.
        residual: Operators whose kernel can add a second tensor of its output's shape.
        blocked_only: Element-wise operators that run in a kernel only where it
            runs on channel blocks.
        blocked: Operators that run on channel-blocked images; adding inside a
            convolution needs both tensors in that layout.
        channel_block: Channels of one block; 0 where images are not blocked.
        convolved: Operators with a constant per channel that run as 1×1 depthwise
            convolutions on channel blocks.
        rewrites: Names of the rewrites of sub-graphs (``rewrites.py``) in the order
            in which they are made.
        inlined: Operators that run as those which define them where they are not
            fused into a kernel.
    """

    removed: frozenset[str]
    folded: Mapping[str, frozenset[str]] = field(default_factory=dict)
    activations: Mapping[str, frozenset[str]] = field(default_factory=dict)
    residual: frozenset[str] = frozenset()
    blocked_only: frozenset[str] = frozenset()
    blocked: frozenset[str] = frozenset()
    channel_block: int = 0
    convolved: frozenset[str] = frozenset()
    rewrites: tuple[str, ...] = ()
    inlined: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def runs_blocked(self, op: str, groups: int, data: Shape, weight: Shape | None) -> bool:
        """Whether an operator on an image runs on channel blocks.

        Args:
            op: Operator type.
            groups: Groups of a convolution, 1 elsewhere.
            data: Shape of its first input, with batch.
            weight: Shape of a convolution's weight.
        """
        if op not in self.blocked or len(data) != 4 or not self.channel_block:
            return False
        if op != "Conv":
            return data[1] % 4 == 0
        if weight is None or len(weight) != len(data):
            return False
        if groups == 1:
            return weight[1] < self.channel_block or weight[1] % 4 == 0
        if weight[1] == 1 and weight[0] == groups:
            return weight[0] % 4 == 0
        per_group = weight[0] // groups
        return weight[1] % self.channel_block == 0 and per_group % self.channel_block == 0


_CONV_ACTIVATIONS = frozenset(
    {"Relu", "Sigmoid", "Tanh", "LeakyRelu", "Clip", "HardSigmoid", "HardSwish"}
)
_POOLS = frozenset({"MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool"})

ONNXRUNTIME_CPU = FusionRules(
    removed=frozenset({"Identity", "Dropout", "Constant", "ConstantOfShape"}),
    folded={"Conv": frozenset({"BatchNormalization"})},
    activations={
        "Conv": _CONV_ACTIVATIONS,
        "Gemm": frozenset({"Relu", "LeakyRelu", "Sigmoid", "Tanh"}),
    },
    residual=frozenset({"Conv"}),
    blocked_only=frozenset({"HardSwish"}),
    blocked=frozenset({"Conv", "Add", "Relu", "Sigmoid", "Tanh", "Concat", "BatchNormalization"})
    | _POOLS
    | {"QuickGelu", "Resize"},
    channel_block=16,
    convolved=frozenset({"BatchNormalization", "Mul"}),
    rewrites=(
        "unchanged",
        "repeated",
        "padded",
        "constants_into_convolutions",
        "bounded",
        "reordered",
        "quantised_operators",
        "product_bias",
        "product_sum",
        "reshape_chain",
        "product_transpose",
        "product_scale",
        "dynamic_product",
        "layer_normalisation",
        "root_mean_square",
        "gelu",
        "silu",
        "bias_gelu",
        "skip_normalisation",
    ),
    inlined={"HardSwish": ("HardSigmoid", "Mul")},
)

TORCH = FusionRules(
    removed=frozenset({"Identity", "Dropout", "Constant", "ConstantOfShape"}),
    folded={"Conv": frozenset({"BatchNormalization"})},
)
"""What ``runtimes/torch_graph.py`` folds; torch itself runs each operator as a kernel."""

FUSION: Mapping[str, FusionRules] = {
    "onnxruntime": ONNXRUNTIME_CPU,
    "onnxruntime-avx": replace(ONNXRUNTIME_CPU, channel_block=8),
    "torch": TORCH,
}
"""Fusion rules by name (:func:`fusion_name`)."""


def fusion_name(runtime: str, features: Collection[str]) -> str:
    """The name in ``FUSION`` of the rules by which a runtime fuses on a processor.

    ONNX Runtime's channel blocks have as many channels as fit a vector register: 16
    floats with AVX-512, 8 with AVX alone (``MlasNchwcGetBlockSize`` in its source).

    Args:
        runtime: Its name.
        features: What the processor has, as a profile's conditions list it; empty
            where that is not known, which counts as 16.
    """
    narrow = "avx" in features and "avx512f" not in features
    return f"{runtime}-avx" if narrow and depends_on_processor(runtime) else runtime


def depends_on_processor(runtime: str) -> bool:
    """Whether a runtime fuses differently on different processors."""
    return f"{runtime}-avx" in FUSION
