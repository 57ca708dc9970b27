"""A graph of plain nodes with the shapes and constants of its tensors, made to be rewritten."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas.kernels.kernel import Shape

Types = dict[str, tuple[Shape, str]]
Values = dict[str, NDArray[Any]]


@dataclass(eq=False)
class Node:
    """An operator, its attributes read once.

    Args:
        op: Operator type.
        inputs: Names of what it reads, ``""`` where an input is left out.
        outputs: Names of what it writes.
        attributes: Attributes by name.
        domain: Where its type is defined, ``""`` for ONNX itself.
        reason: Why its kernel cannot be known; empty where it can.
        body: What it runs, of a loop that runs a known number of times.
        times: How often.
    """

    op: str
    inputs: list[str]
    outputs: list[str]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    domain: str = ""
    reason: str = ""
    body: "Graph | None" = None
    times: int = 1

    @property
    def label(self) -> str:
        """Operator type with its domain, where that is not ONNX's own."""
        return f"{self.domain}.{self.op}" if self.domain else self.op


class Graph:
    """Nodes in an order in which they can run.

    Args:
        nodes: The nodes.
        types: Static shape and element type by tensor, where known.
        values: Values of small constants by tensor, where known.
        constants: Tensors that do not depend on what is fed.
        outputs: Tensors that the model gives, or that a graph inside an operator reads.
    """

    def __init__(
        self,
        nodes: Iterable[Node],
        types: Types,
        values: Values,
        constants: set[str],
        outputs: Iterable[str],
    ) -> None:
        self.types = types
        self.values = values
        self.constants = constants
        self.outputs = list(outputs)
        self.nodes: list[Node] = []
        self._producer: dict[str, Node] = {}
        self.uses: Counter[str] = Counter(self.outputs)
        for node in nodes:
            self.nodes.append(node)
            self._enter(node)

    def _enter(self, node: Node) -> None:
        self._producer.update(dict.fromkeys(filter(None, node.outputs), node))
        self.uses.update(filter(None, node.inputs))

    def _leave(self, node: Node) -> None:
        for tensor in filter(None, node.outputs):
            if self._producer.get(tensor) is node:
                del self._producer[tensor]
        self.uses.subtract(filter(None, node.inputs))

    def producer(self, tensor: str, *ops: str) -> Node | None:
        """The node that writes a tensor, if its type is one of ``ops`` (or any, if none)."""
        node = self._producer.get(tensor)
        return node if node is not None and (not ops or node.op in ops) else None

    def inner(self, tensor: str, *ops: str) -> Node | None:
        """As :meth:`producer`, if the tensor is read once and the node writes nothing else."""
        node = self.producer(tensor, *ops)
        if node is None or self.uses[tensor] != 1 or len(node.outputs) != 1:
            return None
        return node

    def shape(self, tensor: str) -> Shape | None:
        """The static shape of a tensor, where known."""
        found = self.types.get(tensor)
        return found[0] if found else None

    def scalar(self, tensor: str) -> float | None:
        """The value of a constant of one element, where known."""
        value = self.values.get(tensor)
        if value is None or value.size != 1 or value.dtype.kind not in "fiub":
            return None
        return float(value.reshape(-1)[0])

    def integers(self, tensor: str) -> tuple[int, ...] | None:
        """The values of a constant of integers, where known."""
        value = self.values.get(tensor)
        if value is None or value.dtype.kind not in "iu":
            return None
        return tuple(int(item) for item in value.reshape(-1))

    def replace(self, old: Sequence[Node], new: Sequence[Node]) -> None:
        """Put nodes where the last of some others stands, and take these out."""
        gone = {id(node) for node in old}
        place = max(index for index, node in enumerate(self.nodes) if id(node) in gone)
        for node in old:
            self._leave(node)
        after = self.nodes[place + 1 :]
        self.nodes = [n for n in self.nodes[: place + 1] if id(n) not in gone] + [*new, *after]
        for node in new:
            self._enter(node)

    def discard(self, old: Sequence[Node]) -> None:
        """Take nodes out."""
        gone = {id(node) for node in old}
        self.nodes = [node for node in self.nodes if id(node) not in gone]
        for node in old:
            self._leave(node)

    def drop(self, node: Node, source: str) -> None:
        """Take a node out; what read its first output reads ``source``."""
        self.drop_all([(node, source)])

    def drop_all(self, pairs: Sequence[tuple[Node, str]]) -> None:
        """As :meth:`drop`, of several nodes in their order, in one pass."""
        names: dict[str, str] = {}
        for node, source in pairs:
            names[node.outputs[0]] = names.get(source, source)
        self.discard([node for node, _ in pairs])
        for other in self.nodes:
            if names.keys().isdisjoint(other.inputs):
                continue
            self.uses.subtract(filter(None, other.inputs))
            other.inputs = [names.get(tensor, tensor) for tensor in other.inputs]
            self.uses.update(filter(None, other.inputs))
        self.uses.update(names[tensor] for tensor in self.outputs if tensor in names)

    def sweep(self) -> None:
        """Take out nodes whose outputs nothing reads."""
        kept: list[Node] = []
        for node in reversed(self.nodes):
            if node.reason or any(self.uses[tensor] > 0 for tensor in node.outputs if tensor):
                kept.append(node)
            else:
                self._leave(node)
        self.nodes = kept[::-1]


def same_value(first: NDArray[Any] | None, second: NDArray[Any] | None) -> bool:
    """Whether two constants are known to be equal."""
    if first is None or second is None:
        return False
    return first.dtype == second.dtype and np.array_equal(first, second)
