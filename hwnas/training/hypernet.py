"""Training a hypernetwork on the data at hand, over the architectures of a space."""

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from hwnas.errors import DataError, DivergedError
from hwnas.nets.hypernetwork import Hypernetwork, run_with
from hwnas.spaces.architecture import Architecture
from hwnas.spaces.space import SearchSpace
from hwnas.training.batches import batch_indices, shifted
from hwnas.training.checkpoint import check_identity, load_state, save_state
from hwnas.training.evaluation import check_space
from hwnas.training.hypernet_recipe import HypernetRecipe
from hwnas.training.images import ImageData

SCHEMA = 1
WIDEN = 0.25
"""Share of the training within which the architectures spread from one over the space."""

FIRST_OF = 16
"""Random architectures of which the largest is that one."""

CLIP = 5.0


@dataclass(frozen=True)
class HypernetEpoch:
    """What one epoch gave.

    Args:
        epoch: Its number, from 1.
        loss: Mean training loss of the predicted networks.
        accuracy: Share of the training images that they classify right, by the statistics
            of the batch.
        seconds: Its time.
    """

    epoch: int
    loss: float
    accuracy: float
    seconds: float


@dataclass(frozen=True)
class HypernetTraining:
    """A trained hypernetwork.

    Args:
        hypernetwork: In evaluation mode.
        curve: The epochs, first to last, also those of calls that were cut off.
    """

    hypernetwork: Hypernetwork
    curve: tuple[HypernetEpoch, ...]

    @property
    def seconds(self) -> float:
        """Time of all epochs."""
        return sum(epoch.seconds for epoch in self.curve)


def train_hypernetwork(
    space: SearchSpace,
    data: ImageData,
    recipe: HypernetRecipe,
    *,
    checkpoint: Path | None = None,
    on_epoch: Callable[[HypernetEpoch], None] | None = None,
) -> HypernetTraining:
    """Train a hypernetwork so that the networks that it predicts classify the images.

    As GHN-2 (Knyazev et al., 2021): each batch of images passes through several
    architectures with the weights that are predicted for them; Adam, the gradient clipped,
    the rate divided by ten twice. Batch norms use the statistics of the batch. Only one
    network at a time is held for its gradient.

    Unlike there, the architectures are drawn uniformly over the space only after a quarter of
    the training. Until then they are mutants of one of them (the largest of 16 random ones),
    with a probability per gene that rises from 0 to 1: what their layers have in common is
    learned before the layers differ. In few steps that makes the difference between
    networks that are hardly better than chance and useful ones.

    Args:
        space: The architectures.
        data: The images.
        recipe: How.
        checkpoint: A file that is written after each epoch, and from which an interrupted
            training goes on as if it had not been interrupted; a finished one is read.
        on_epoch: Called after each epoch.

    Raises:
        DataError: The classes are not those of the space, or there are fewer than two images.
        DivergedError: The loss did not stay finite.
        RequestError: The checkpoint is of another space, data set or recipe.
        StorageError: The checkpoint cannot be written or read.
    """
    run = _Run(space, data, recipe)
    if checkpoint is not None and checkpoint.exists():
        run.restore(checkpoint)
    while len(run.curve) < recipe.epochs:
        run.epoch()
        if checkpoint is not None:
            save_state(checkpoint, run.state())
        if on_epoch is not None:
            on_epoch(run.curve[-1])
    return HypernetTraining(run.hypernetwork.eval(), tuple(run.curve))


class _Run:
    """A training in progress."""

    def __init__(self, space: SearchSpace, data: ImageData, recipe: HypernetRecipe) -> None:
        check_space(space, data)
        self.space, self.data, self.recipe = space, data, recipe
        self.labels = data.labels("train")
        if len(self.labels) < 2:
            raise DataError(f"data '{data.name}' has one training image; at least 2 are needed")
        self.hypernetwork = Hypernetwork(
            space.classes,
            hidden=recipe.hidden,
            channels=recipe.channels,
            kernel=recipe.kernel,
            seed=recipe.seed,
        )
        self.optimiser = torch.optim.Adam(
            self.hypernetwork.parameters(),
            lr=recipe.learning_rate,
            weight_decay=recipe.weight_decay,
        )
        self.curve: list[HypernetEpoch] = []
        genes = space.sample(np.random.default_rng(recipe.seed), FIRST_OF)
        sizes = [space.decode(own).parameters for own in genes.tolist()]
        self.first = genes[int(np.argmax(sizes))]

    def _drawn(self, rng: np.random.Generator, progress: float) -> list[Architecture]:
        """The architectures of a step, when a share of the training is done."""
        count = self.recipe.architectures
        if progress < WIDEN:
            mothers = np.tile(self.first, (count, 1))
            genes = self.space.mutate(rng, mothers, progress / WIDEN)
        else:
            genes = self.space.sample(rng, count)
        return [self.space.decode(own) for own in genes.tolist()]

    def epoch(self) -> None:
        begin = time.perf_counter()
        number, recipe = len(self.curve), self.recipe
        for group in self.optimiser.param_groups:
            group["lr"] = recipe.rate(number / recipe.epochs)
        # Randomness of its own for each epoch, so that one that is cut off begins again.
        rng = np.random.default_rng([recipe.seed, number])
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        seen = min(len(self.labels), recipe.epoch_steps * recipe.batch_size)
        chosen = torch.randperm(len(self.labels), generator=generator)[:seen]
        loss, right, total = 0.0, 0, 0
        self.hypernetwork.train()
        for index in batch_indices(seen, recipe.batch_size, generator):
            architectures = self._drawn(rng, (number + total / seen) / recipe.epochs)
            own_loss, own_right = self._step(architectures, chosen[index], generator)
            loss += own_loss * len(index)
            right += own_right
            total += len(index)
        accuracy = right / (total * recipe.architectures)
        self.curve.append(
            HypernetEpoch(number + 1, loss / total, accuracy, time.perf_counter() - begin)
        )

    def _step(
        self, architectures: list[Architecture], index: Tensor, generator: torch.Generator
    ) -> tuple[float, int]:
        """One step; the mean loss and how many predictions of all networks were right."""
        labels = self.labels[index]
        tensors: list[Tensor] = []
        gradients: list[Tensor] = []
        total, right = 0.0, 0
        predicted = self.hypernetwork(architectures)
        for architecture, weights in zip(architectures, predicted, strict=True):
            leaves = {name: _leaf(own) for name, own in weights.items()}
            logits = run_with(architecture, leaves, self._images(architecture, index, generator))
            loss = functional.cross_entropy(logits, labels) / len(architectures)
            total += loss.item()
            right += int((logits.argmax(1) == labels).sum().item())
            tensors += weights.values()
            gradients += torch.autograd.grad(loss, list(leaves.values()))
        if not math.isfinite(total):
            raise DivergedError(
                f"the hypernetwork's loss is {total} in epoch {len(self.curve) + 1}; lower the "
                f"learning rate ({self.recipe.learning_rate})"
            )
        self.optimiser.zero_grad()
        torch.autograd.backward(tensors, gradients)
        torch.nn.utils.clip_grad_norm_(self.hypernetwork.parameters(), CLIP)
        self.optimiser.step()
        return total, right

    def _images(
        self, architecture: Architecture, index: Tensor, generator: torch.Generator
    ) -> Tensor:
        channels, height, width = architecture.input_shape
        images = self.data.tensor("train", (height, width), channels)[index]
        images = shifted(images, self.recipe.shift, generator)
        return images.contiguous(memory_format=torch.channels_last)

    def _identity(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "space": self.space.describe(),
            "recipe": self.recipe.to_json(),
            "images": self.data.digest,
        }

    def state(self) -> dict[str, Any]:
        return {
            "identity": self._identity(),
            "hypernetwork": self.hypernetwork.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "curve": [asdict(epoch) for epoch in self.curve],
        }

    def restore(self, path: Path) -> None:
        state = load_state(path)
        check_identity(path, self._identity(), state.get("identity", {}), "hypernetwork")
        self.hypernetwork.load_state_dict(state["hypernetwork"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.curve = [HypernetEpoch(**epoch) for epoch in state["curve"]]


def _leaf(weight: Tensor) -> Tensor:
    """A weight cut off from what predicted it, in the layout in which networks are fast."""
    own = weight.detach()
    if own.ndim == 4:
        own = own.contiguous(memory_format=torch.channels_last)
    return own.requires_grad_()
