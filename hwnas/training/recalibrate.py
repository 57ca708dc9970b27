"""Running statistics of batch norms, estimated anew for weights that were not trained alone."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from hwnas.errors import DataError, ShapeError
from hwnas.nets.layers import Statistics, apply_layer
from hwnas.nets.network import Network
from hwnas.nets.parameters import channels_last
from hwnas.spaces.layers import BatchNorm, Layer

IMAGES = 2000
"""Training images that are enough for statistics: what the code of Cai et al., 2020, takes."""


@torch.no_grad()
def recalibrate(network: Network, images: Tensor, *, batch_size: int = 256) -> None:
    """Estimate the running statistics of all batch norms, forgetting what they were.

    A network whose weights come out of a supernet or a hypernetwork has no
    statistics of its own, and evaluates at chance without them. Each batch passes
    once, normalised by its own statistics as in training; the running values
    become the means of the batches' means and (unbiased) variances, weighed by
    their images: no momentum, so the order of the batches does not matter. Batches
    are equal to within one image. Only those layers count that the output depends
    on; statistics of others stay.

    Args:
        network: Changed in place: its statistics, not its weights and not its mode.
        images: ``(N, C, H, W)`` in the shape that the network takes, on any device.
        batch_size: The most images at a time (three, if it is two and the images are odd).

    Raises:
        ShapeError: The images do not have the shape that the network takes.
        DataError: There are fewer than two images, or ``batch_size`` is below two.
    """
    wanted = network.architecture.input_shape
    if images.ndim != 4 or tuple(images.shape[1:]) != wanted:
        raise ShapeError(
            f"the network takes images (N, {', '.join(map(str, wanted))}), received "
            f"{tuple(images.shape)}"
        )
    if len(images) < 2 or batch_size < 2:
        raise DataError(
            "statistics need at least 2 images and a batch_size of at least 2, received "
            f"{len(images)} images and a batch_size of {batch_size}"
        )
    first = next(network.parameters())
    layout, seen = channels_last(network), 0
    # One image alone has no variance where the map is one pixel.
    batches = min(-(-len(images) // batch_size), len(images) // 2)
    for batch in images.tensor_split(batches):
        seen += len(batch)
        share = len(batch) / seen

        def gather(
            layer: Layer,
            inputs: Sequence[Tensor],
            parameters: Mapping[str, Tensor],
            state: Statistics | None,
            share: float = share,
        ) -> Tensor:
            if isinstance(layer, BatchNorm) and state is not None:
                variance, mean = torch.var_mean(inputs[0], (0, 2, 3))
                # The mean of all batches so far; the first one's share is 1.
                state.mean.lerp_(mean, share)
                state.variance.lerp_(variance, share)
            return apply_layer(layer, inputs, parameters)

        network.interpret(batch.to(first).contiguous(memory_format=layout), gather)
