"""Batches of images in random order, randomly shifted."""

from collections.abc import Iterator

import torch
from torch import Tensor


def batch_indices(count: int, size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Indices of one pass in random order, in batches that are equal to within one.

    Equal, because a last batch of one image has no batch statistics.

    Args:
        count: Number of images.
        size: The most images in a batch.
        generator: Source of randomness.
    """
    order = torch.randperm(count, generator=generator)
    yield from torch.tensor_split(order, -(-count // size))


def shifted(images: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Each image moved by a few pixels, its edge repeated where nothing comes in.

    The same as padding by the edge's pixels and cropping at random.

    Args:
        images: ``(N, C, H, W)``, on any device.
        share: The largest shift as a share of the height and width; at most half.
        generator: Source of randomness, on the CPU.
    """
    count, channels, height, width = images.shape
    if round(share * min(height, width)) == 0:
        return images

    def places(length: int) -> Tensor:
        reach = round(share * length)
        moves = torch.randint(-reach, reach + 1, (count, 1), generator=generator)
        return (torch.arange(length) + moves).clamp(0, length - 1).to(images.device)

    rows = places(height).view(count, 1, height, 1)
    columns = places(width).view(count, 1, 1, width)
    images = images.gather(2, rows.expand(count, channels, height, width))
    return images.gather(3, columns.expand(count, channels, height, width))
