"""A network as a chain of blocks on an input of one shape."""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from hwnas.errors import ShapeError, SpecError
from hwnas.spaces.blocks import BlockSpec, expand
from hwnas.spaces.graph import LayerGraph
from hwnas.spaces.layers import Shape


@dataclass(frozen=True)
class PlacedBlock:
    """A block spec together with the shape that it receives."""

    spec: BlockSpec
    input_shape: Shape

    @property
    def graph(self) -> LayerGraph:
        """The block's layers."""
        return expand(self.spec, self.input_shape)

    @cached_property
    def key(self) -> str:
        """Canonical text of the block on its shape."""
        return self.spec.key(self.input_shape)


@dataclass(frozen=True)
class Architecture:
    """A network: an input shape and the blocks that it passes through.

    Args:
        input_shape: ``(channels, height, width)`` of one image.
        blocks: Specs, first to last.
    """

    input_shape: Shape
    blocks: tuple[BlockSpec, ...]

    @cached_property
    def placed(self) -> tuple[PlacedBlock, ...]:
        """The blocks with the shapes that they receive.

        Raises:
            SpecError: A block cannot be built on what the one before it gives.
        """
        shape, placed = self.input_shape, []
        for position, spec in enumerate(self.blocks):
            item = PlacedBlock(spec, shape)
            try:
                shape = item.graph.output_shape
            except (SpecError, ShapeError) as error:
                raise SpecError(f"block {position} ({spec.kind}): {error}") from error
            placed.append(item)
        return tuple(placed)

    @property
    def output_shape(self) -> Shape:
        """Shape of the output for one image."""
        return self.placed[-1].graph.output_shape if self.blocks else self.input_shape

    @property
    def macs(self) -> int:
        """Multiply-accumulate operations for one image."""
        return sum(item.graph.macs for item in self.placed)

    @property
    def parameters(self) -> int:
        """Number of trained parameters."""
        return sum(item.graph.parameters for item in self.placed)

    @cached_property
    def digest(self) -> str:
        """Twelve hexadecimal digits that name the architecture."""
        text = json.dumps(self.to_json(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def to_json(self) -> dict[str, Any]:
        """The architecture as plain values."""
        return {
            "input_shape": list(self.input_shape),
            "blocks": [spec.to_json() for spec in self.blocks],
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Architecture":
        """The architecture that :meth:`to_json` wrote."""
        return cls(
            tuple(value["input_shape"]),
            tuple(BlockSpec.from_json(item) for item in value["blocks"]),
        )
