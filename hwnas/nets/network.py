"""A torch network with exactly the layers of an architecture."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hwnas.errors import SpecError
from hwnas.nets.layers import (
    Interpreter,
    Statistics,
    apply_layer,
    initial,
    live_nodes,
    run_graph,
)
from hwnas.nets.modules import own_module
from hwnas.nets.parameters import holder, tensors
from hwnas.spaces.architecture import Architecture
from hwnas.spaces.graph import LayerGraph, Node
from hwnas.spaces.layers import BatchNorm
from hwnas.spaces.module_layers import OwnModule


class Block(nn.Module):
    """One block: a graph of layers with its own parameters and running statistics.

    A user's own module runs as it is, whatever the interpreter: scores that look inside
    networks do not look inside it.

    Args:
        graph: The layers.
        generator: Source of the initial weights.
    """

    def __init__(self, graph: LayerGraph, generator: torch.Generator) -> None:
        super().__init__()
        self._graph = graph
        self._holders: dict[str, nn.Module] = {}
        self._names: dict[str, tuple[str, ...]] = {}
        self._own: dict[str, nn.Module] = {}
        live = set(live_nodes(graph))
        # Layers that nothing depends on draw their weights last, so that they change no other's.
        for node in sorted(graph.nodes, key=lambda node: node not in live):
            if isinstance(node.layer, OwnModule):
                drawn = int(torch.randint(2**62, (1,), generator=generator))
                (shape,) = graph.node_input_shapes(node)
                self._own[node.name] = own_module(node.layer, shape, drawn)
                self.add_module(node.name, self._own[node.name])
                continue
            shapes = node.layer.parameter_shapes(*graph.node_input_shapes(node))
            self._names[node.name] = tuple(shapes)
            if not shapes:
                continue
            module = self._holders[node.name] = holder(self, node.name)
            for name, shape in shapes.items():
                value = initial(node.layer, name, shape, generator)
                module.register_parameter(name, nn.Parameter(value))
            if isinstance(node.layer, BatchNorm):
                module.register_buffer("running_mean", torch.zeros(shapes["weight"]))
                module.register_buffer("running_var", torch.ones(shapes["weight"]))

    def forward(self, image: Tensor, interpret: Interpreter = apply_layer) -> Tensor:
        """The block's output for a batch, ``(N, C, H, W)`` or ``(N, features)``."""

        def compute(node: Node, inputs: Sequence[Tensor]) -> Tensor:
            if node.name in self._own:
                output: Tensor = self._own[node.name](*inputs)
                return output
            module = self._holders.get(node.name)
            if module is None:
                return interpret(node.layer, inputs, {}, None)
            state = None
            if isinstance(node.layer, BatchNorm):
                running = tensors(module, ("running_mean", "running_var"))
                state = Statistics(running["running_mean"], running["running_var"], self.training)
            return interpret(node.layer, inputs, tensors(module, self._names[node.name]), state)

        return run_graph(self._graph, image, compute)


class Network(nn.Module):
    """The network of an architecture, with weights of its own.

    Parameters are named ``blocks.<position>.<layer>.<parameter>``, for example
    ``blocks.2.expand.conv.weight``, and there are ``architecture.parameters`` of
    them. Same architecture and seed, same weights.

    Args:
        architecture: What to build.
        seed: Seed of the initial weights.

    Raises:
        SpecError: The architecture has no blocks, or cannot be built.
    """

    def __init__(self, architecture: Architecture, *, seed: int = 0) -> None:
        super().__init__()
        if not architecture.blocks:
            raise SpecError("a network needs at least one block; the architecture has none")
        self.architecture = architecture
        generator = torch.Generator().manual_seed(seed)
        # One seed a block, so that a block's weights do not depend on what others draw.
        seeds = torch.randint(2**62, (len(architecture.blocks),), generator=generator).tolist()
        self.blocks = nn.ModuleList(
            Block(item.graph, torch.Generator().manual_seed(own))
            for item, own in zip(architecture.placed, seeds, strict=True)
        )

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``(N, classes)`` for images ``(N, C, H, W)``."""
        return self.interpret(images, apply_layer)

    def interpret(self, images: Tensor, interpreter: Interpreter) -> Tensor:
        """The output where layers mean what ``interpreter`` says, for scores that look inside.

        Args:
            images: ``(N, C, H, W)``.
            interpreter: Takes what :func:`hwnas.nets.layers.apply_layer` takes.
        """
        output = images
        for block in self.blocks:
            output = block(output, interpreter)
        return output
