"""The cell of NAS-Bench-201: six edges between four nodes, and the blocks between cells."""

from collections.abc import Sequence

from hwnas.errors import SpecError
from hwnas.spaces.blocks import block
from hwnas.spaces.channel_layers import Zero
from hwnas.spaces.graph import INPUT, GraphBuilder
from hwnas.spaces.layers import Activation, Add, BatchNorm, Conv2d, Layer, Pool2d

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""From which node to which, in the order in which an architecture string names them."""

TAILS = ("none", "relu", "bn_relu")
_CONVOLUTIONS = {"nor_conv_1x1": 1, "nor_conv_3x3": 3}
_LAST = 3


def arch_str(operations: Sequence[str]) -> str:
    """The benchmark's name of a cell, such as ``|none~0|+|none~0|none~1|+|…|``.

    Args:
        operations: One of ``OPERATIONS`` for each of ``EDGES``.

    Raises:
        SpecError: There are not six, or one is unknown.
    """
    if len(operations) != len(EDGES):
        raise SpecError(f"a cell has {len(EDGES)} operations, received {len(operations)}")
    for operation in operations:
        if operation not in OPERATIONS:
            raise SpecError(
                f"operation must be one of {', '.join(OPERATIONS)}, received '{operation}'"
            )
    nodes: list[str] = ["", "", ""]
    for (source, target), operation in zip(EDGES, operations, strict=True):
        nodes[target - 1] += f"{operation}~{source}|"
    return "+".join(f"|{node}" for node in nodes)


def operations_of(text: str) -> tuple[str, ...]:
    """The operations of the edges that :func:`arch_str` named.

    Raises:
        SpecError: The text does not name a cell.
    """
    operations = tuple(
        edge.partition("~")[0] for node in text.split("+") for edge in node.strip("|").split("|")
    )
    if len(operations) != len(EDGES) or arch_str(operations) != text:
        raise SpecError(
            f"a cell is written as {arch_str(['none'] * len(EDGES))} with operations of "
            f"{', '.join(OPERATIONS)}; received '{text}'"
        )
    return operations


def live(operations: Sequence[str]) -> tuple[str, ...]:
    """The operations with ``none`` on every edge that nothing flows through.

    An edge is dead where no path from the cell's input reaches it, or none leads
    from it to the output. (A convolution of nothing but zeros gives a constant,
    the bias of its batch norm; it counts as nothing here.)
    """
    edges = list(zip(EDGES, operations, strict=True))
    reached, needed = {0}, {_LAST}
    # Both in topological order: sources ascend along EDGES' targets.
    for (source, target), operation in sorted(edges):
        if operation != "none" and source in reached:
            reached.add(target)
    for (source, target), operation in sorted(edges, key=lambda edge: -edge[0][1]):
        if operation != "none" and target in needed:
            needed.add(source)
    return tuple(
        operation if source in reached and target in needed else "none"
        for (source, target), operation in edges
    )


def _inputs(operations: Sequence[str]) -> set[int]:
    """The nodes that hold what the cell receives, unchanged."""
    same = {0}
    for node in range(1, _LAST + 1):
        incoming = [
            (source, operation)
            for (source, target), operation in zip(EDGES, operations, strict=True)
            if target == node and operation != "none"
        ]
        if len(incoming) == 1 and incoming[0][0] in same and incoming[0][1] == "skip_connect":
            same.add(node)
    return same


def reads_activated(operations: Sequence[str]) -> bool:
    """Whether a cell reads its input through ReLU only, so that what is before can apply it."""
    operations = live(operations)
    same = _inputs(operations)
    readers = {
        operation
        for (source, target), operation in zip(EDGES, operations, strict=True)
        if operation != "none" and source in same and target not in same
    }
    return bool(readers) and readers <= _CONVOLUTIONS.keys()


def is_identity(operations: Sequence[str]) -> bool:
    """Whether a cell gives what it receives."""
    return _LAST in _inputs(live(operations))


def _tail(b: GraphBuilder, tensor: str, tail: str) -> None:
    """What stands behind a cell: nothing, the next one's ReLU, or the network's last layers."""
    if tail not in TAILS:
        raise SpecError(f"tail must be one of {', '.join(TAILS)}, received '{tail}'")
    if tail == "bn_relu":
        tensor = b.add("tail.bn", BatchNorm(), tensor)
    if tail != "none":
        b.act("tail", tensor, "relu")


@block("nasbench_cell")
def nasbench_cell(b: GraphBuilder, *, arch: str, activated: bool, tail: str) -> None:
    """A cell of NAS-Bench-201 (Dong and Yang, 2020), without its dead edges.

    A node is the sum of its edges; a convolution is ReLU, convolution, batch
    norm. What has no weights and reads the same is computed once, as by runtimes
    that eliminate common expressions: convolutions of one node share its ReLU.

    Args:
        b: The builder.
        arch: The cell as an architecture string.
        activated: Whether the block before has applied ReLU already.
        tail: What follows the last node, one of ``TAILS``.
    """
    operations = live(operations_of(arch))
    if activated and not reads_activated(operations):
        raise SpecError(f"cell {arch} reads its input without ReLU; activated must be false")
    channels = b.shape()[0]
    nodes: dict[int, str] = {0: INPUT}
    known: dict[tuple[str, ...], str] = {}

    def once(name: str, layer: Layer, *tensors: str) -> str:
        """The output of a layer without weights, which runtimes compute once for equal inputs."""
        key = (repr(layer), *tensors)
        if key not in known:
            known[key] = b.add(name, layer, *tensors)
        return known[key]

    for (source, target), operation in sorted(
        zip(EDGES, operations, strict=True), key=lambda edge: (edge[0][1], edge[0][0])
    ):
        if operation == "none":
            continue
        name, tensor = f"edge{source}{target}", nodes[source]
        if operation in _CONVOLUTIONS:
            if not (activated and tensor == INPUT):
                tensor = once(f"node{source}.act", Activation("relu"), tensor)
            tensor = b.conv_bn(f"{name}.{operation}", tensor, channels, _CONVOLUTIONS[operation])
        elif operation == "avg_pool_3x3":
            tensor = once(f"{name}.pool", Pool2d("average", 3, 1), tensor)
        if target in nodes:
            tensor = once(f"node{target}.add{source}", Add(), nodes[target], tensor)
        nodes[target] = tensor
    output = nodes[_LAST] if _LAST in nodes else b.add("zero", Zero(), INPUT)
    _tail(b, output, tail)


@block("nasbench_reduction")
def nasbench_reduction(b: GraphBuilder, *, channels: int, tail: str) -> None:
    """The residual block between stages of NAS-Bench-201, which halves the image.

    Two convolutions 3×3, each behind ReLU; the shortcut is an average over 2×2
    and a 1×1 convolution.
    """
    tensor = b.act("first", INPUT, "relu")
    tensor = b.conv_bn("first", tensor, channels, 3, 2)
    tensor = b.act("second", tensor, "relu")
    tensor = b.conv_bn("second", tensor, channels, 3)
    shortcut = b.add("shortcut.pool", Pool2d("average", 2, 2, padded=False), INPUT)
    shortcut = b.add("shortcut.conv", Conv2d(channels, 1), shortcut)
    _tail(b, b.residual("residual", shortcut, tensor), tail)
