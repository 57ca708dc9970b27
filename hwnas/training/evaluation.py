"""What a network gets right, and whether it fits the data at all."""

import torch
from torch import Tensor

from hwnas.errors import DataError, DivergedError
from hwnas.nets.network import Network
from hwnas.nets.parameters import channels_last
from hwnas.spaces.space import SearchSpace
from hwnas.training.images import ImageData


def check_fit(network: Network, data: ImageData) -> None:
    """Refuse data whose classes are not those of the network.

    Raises:
        DataError: The numbers of classes differ.
    """
    outputs = network.architecture.output_shape
    if outputs != (data.classes,):
        raise DataError(
            f"data '{data.name}' has {data.classes} classes, but the network gives {outputs}; use "
            f"a space with classes={data.classes}"
        )


def check_space(space: SearchSpace, data: ImageData) -> None:
    """Refuse data whose classes are not those of a space.

    Raises:
        DataError: The numbers of classes differ.
    """
    if data.classes != space.classes:
        raise DataError(
            f"data '{data.name}' has {data.classes} classes, space '{space.name}' has "
            f"{space.classes}; use --space {space.name.partition(':')[0]}:classes={data.classes}"
        )


def split_tensor(network: Network, data: ImageData, part: str) -> Tensor:
    """Images of a split in the shape that the network takes, on the network's device."""
    channels, height, width = network.architecture.input_shape
    return data.tensor(part, (height, width), channels).to(_device(network))


def _device(network: Network) -> torch.device:
    return next(network.parameters()).device


@torch.no_grad()
def evaluate(
    network: Network, data: ImageData, split: str = "validation", batch_size: int = 256
) -> float:
    """Share of the images of a split that the network classifies right.

    Args:
        network: Evaluated with its running statistics; its mode is put back.
        data: The images.
        split: ``"train"``, ``"validation"`` or ``"test"``.
        batch_size: Images at a time.

    Raises:
        DataError: The data do not fit the network.
        DivergedError: An output is not finite. The largest of such outputs means nothing,
            and would pass for the accuracy of a guess.
    """
    check_fit(network, data)
    images = split_tensor(network, data, split)
    labels = data.labels(split).to(images.device)
    layout = channels_last(network)
    mode, right = network.training, 0
    network.eval()
    try:
        for batch, target in zip(images.split(batch_size), labels.split(batch_size), strict=True):
            outputs = network(batch.contiguous(memory_format=layout))
            if not bool(torch.isfinite(outputs).all()):
                raise DivergedError(
                    f"outputs for {split} images of '{data.name}' are not finite; the training "
                    "diverged, lower its learning rate"
                )
            right += int((outputs.argmax(1) == target).sum().item())
    finally:
        network.train(mode)
    return right / len(labels)
