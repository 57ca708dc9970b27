"""Elastic layers as in once-for-all: kernels that are transformed as they shrink."""

from collections import defaultdict

import torch
from torch import Tensor, nn

from hwnas.nets.elastic import ElasticNetwork, layer_path, sliced, slot_blocks
from hwnas.nets.parameters import holder
from hwnas.spaces.layers import Conv2d, Layer, Shape
from hwnas.spaces.space import SearchSpace, Slot


def kernel_sizes(space: SearchSpace, slot: Slot) -> dict[str, tuple[int, ...]]:
    """The layers of a slot whose kernel is elastic.

    Args:
        space: The space.
        slot: One of its slots.

    Returns:
        By the path of a convolution, the sizes that its kernel has in the slot's
        blocks, largest first; only where there is more than one.
    """
    found: dict[str, set[int]] = defaultdict(set)
    for placed in slot_blocks(space, slot):
        for node in placed.graph.nodes:
            if isinstance(node.layer, Conv2d):
                found[layer_path(node)].add(node.layer.kernel)
    return {
        path: tuple(sorted(sizes, reverse=True)) for path, sizes in found.items() if len(sizes) > 1
    }


def transform_name(larger: int, smaller: int) -> str:
    """Name of the parameter that turns the centre of one kernel into the next smaller one."""
    return f"transform_{larger}_to_{smaller}"


class OnceForAllNetwork(ElasticNetwork):
    """A supernet whose smaller kernels are learned maps of the centre of the larger ones.

    A kernel of 3 within one of 7 is not its centre but, twice, a linear map of the
    centre: 7 to 5, then 5 to 3 (Cai et al., 2020, section 3.3). A map is a square
    matrix over the positions of the smaller kernel, shared by all channels of a
    layer; it starts as the identity, so that at the start every path computes what
    it does in an :class:`ElasticNetwork` of the same seed, and the paths with the
    largest kernels do so for any map. Channels are the leading ones, as there; see
    :func:`hwnas.nets.channel_sort.sort_channels` for which should lead.

    Args:
        space: Any space; where no kernel is elastic, there are no maps.
        seed: Seed of the initial weights.
    """

    def __init__(self, space: SearchSpace, *, seed: int = 0) -> None:
        super().__init__(space, seed=seed)
        self._sizes: dict[nn.Module, tuple[int, ...]] = {}
        for module, slot in zip(self.slots, space.slots, strict=True):
            for path, sizes in kernel_sizes(space, slot).items():
                own = holder(module, path)
                self._sizes[own] = sizes
                for larger, smaller in zip(sizes, sizes[1:], strict=False):
                    identity = nn.Parameter(torch.eye(smaller**2))
                    own.register_parameter(transform_name(larger, smaller), identity)

    def _slice(
        self, own: nn.Module, layer: Layer, name: str, value: Tensor, shape: Shape
    ) -> Tensor:
        if not isinstance(layer, Conv2d) or name != "weight" or own not in self._sizes:
            return super()._slice(own, layer, name, value, shape)
        # Channels first, at the full kernel, which then shrinks step by step.
        value = sliced(layer, name, value, (*shape[:2], *value.shape[2:]))
        sizes = self._sizes[own]
        for larger, smaller in zip(sizes, sizes[1:], strict=False):
            if value.shape[-1] <= layer.kernel:
                break
            centre = sliced(layer, name, value, (*shape[:2], smaller, smaller))
            mapping = own.get_parameter(transform_name(larger, smaller))
            value = (centre.flatten(2) @ mapping.T).unflatten(2, (smaller, smaller))
        return value
