"""The one training loop."""

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from hwnas.errors import DataError, DivergedError, RequestError
from hwnas.nets.network import Network
from hwnas.nets.parameters import channels_last
from hwnas.training.batches import batch_indices, shifted
from hwnas.training.checkpoint import load_state, save_state
from hwnas.training.images import ImageData
from hwnas.training.recipe import Recipe

__all__ = ["Epoch", "Recipe", "TrainingResult", "evaluate", "train"]


@dataclass(frozen=True)
class Epoch:
    """What one pass over the training images gave.

    Args:
        epoch: Its number, from 1.
        loss: Mean training loss, with label smoothing.
        accuracy: Share of the validation images that are classified right.
        seconds: Time of the pass and its validation.
    """

    epoch: int
    loss: float
    accuracy: float
    seconds: float


@dataclass(frozen=True)
class TrainingResult:
    """What a training gave.

    Args:
        accuracy: Share of the validation images that are classified right, at the end.
        test_accuracy: The same for the test images; ``None`` where they were not to be seen.
        curve: The epochs, first to last; the last may be a part of one.
        epochs: Passes over the training images, a fraction where the time was up within one.
        seconds: Time of all epochs, over all calls if the training was resumed.
    """

    accuracy: float
    test_accuracy: float | None
    curve: tuple[Epoch, ...]
    epochs: float
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """The result as plain values."""
        return asdict(self)


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
    """
    check_fit(network, data)
    images = split_tensor(network, data, split)
    labels = data.labels(split).to(images.device)
    layout = channels_last(network)
    mode = network.training
    network.eval()
    try:
        right = sum(
            int((network(batch.contiguous(memory_format=layout)).argmax(1) == target).sum().item())
            for batch, target in zip(
                images.split(batch_size), labels.split(batch_size), strict=True
            )
        )
    finally:
        network.train(mode)
    return right / len(labels)


def train(
    network: Network,
    data: ImageData,
    recipe: Recipe,
    *,
    budget_s: float | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
    checkpoint: Path | None = None,
    test: bool = True,
) -> TrainingResult:
    """Train a network in place.

    Args:
        network: What to train, on the device where it is; left in evaluation mode.
        data: The images.
        recipe: How.
        budget_s: Stop after so many seconds, if that is earlier than the
            recipe's epochs. The learning rate then falls with the time, so
            that it is low when the time is up. At least one step is made.
        on_epoch: Called after each epoch.
        checkpoint: A file that is written after each epoch, and from which an
            interrupted training goes on as if it had not been interrupted.
        test: Evaluate on the test images at the end. What a search sees must not
            have seen them.

    Raises:
        DataError: The data do not fit the network.
        DivergedError: The loss did not stay finite.
        RequestError: The checkpoint is of another network, recipe or data set.
        StorageError: The checkpoint cannot be written or read.
    """
    check_fit(network, data)
    run = _Run(network, data, recipe, budget_s)
    if checkpoint is not None and checkpoint.exists():
        run.restore(checkpoint)
    while not run.finished:
        run.epoch()
        if checkpoint is not None:
            save_state(checkpoint, run.state())
        if on_epoch is not None:
            on_epoch(run.curve[-1])
    network.eval()
    return TrainingResult(
        run.curve[-1].accuracy,
        evaluate(network, data, "test") if test else None,
        tuple(run.curve),
        run.steps / run.steps_per_epoch,
        sum(epoch.seconds for epoch in run.curve),
    )


class _Run:
    """A training in progress."""

    def __init__(
        self, network: Network, data: ImageData, recipe: Recipe, budget_s: float | None
    ) -> None:
        self.layout = channels_last(network)
        self.network = network
        self.data, self.recipe, self.budget_s = data, recipe, budget_s
        self.images = split_tensor(network, data, "train")
        self.labels = data.labels("train").to(self.images.device)
        self.steps_per_epoch = -(-len(self.labels) // recipe.batch_size)
        self.generator = torch.Generator().manual_seed(recipe.seed)
        self.optimiser = optimiser(network, recipe)
        self.curve: list[Epoch] = []
        self.steps = 0

    @property
    def finished(self) -> bool:
        return len(self.curve) >= self.recipe.epochs or (
            self.budget_s is not None and self.steps > 0 and self._spent(0.0) >= 1
        )

    def _spent(self, seconds: float) -> float:
        """Share of the time that is used up, ``seconds`` into the current epoch."""
        if self.budget_s is None:
            return 0.0
        past = sum(epoch.seconds for epoch in self.curve)
        return (past + seconds) / self.budget_s if self.budget_s > 0 else 1.0

    def epoch(self) -> None:
        start = time.perf_counter()
        self.network.train()
        total, seen = 0.0, 0
        for index in batch_indices(len(self.labels), self.recipe.batch_size, self.generator):
            spent = self._spent(time.perf_counter() - start)
            if spent >= 1 and self.steps > 0:
                break
            done = self.steps / (self.steps_per_epoch * self.recipe.epochs)
            loss = self._step(index, max(done, spent))
            total, seen = total + loss * len(index), seen + len(index)
        accuracy = evaluate(self.network, self.data)
        number = len(self.curve) + 1
        mean = total / seen if seen else math.nan
        self.curve.append(Epoch(number, mean, accuracy, time.perf_counter() - start))

    def _step(self, index: Tensor, progress: float) -> float:
        for group in self.optimiser.param_groups:
            group["lr"] = self.recipe.rate(progress)
        index = index.to(self.images.device)
        images = shifted(self.images[index], self.recipe.shift, self.generator)
        images = images.contiguous(memory_format=self.layout)
        loss = functional.cross_entropy(
            self.network(images),
            self.labels[index],
            label_smoothing=self.recipe.label_smoothing,
        )
        value = loss.item()
        if not math.isfinite(value):
            raise DivergedError(
                f"the loss is {value} in step {self.steps + 1} of epoch {len(self.curve) + 1}; "
                f"lower the learning rate ({self.recipe.learning_rate})"
            )
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        self.steps += 1
        return value

    def _identity(self) -> dict[str, Any]:
        return {
            "architecture": self.network.architecture.digest,
            "recipe": self.recipe.to_json(),
            "data": self.data.name,
            "images": self.data.digest,
        }

    def state(self) -> dict[str, Any]:
        return {
            "identity": self._identity(),
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "generator": self.generator.get_state(),
            "curve": [asdict(epoch) for epoch in self.curve],
            "steps": self.steps,
        }

    def restore(self, path: Path) -> None:
        state = load_state(path)
        own, other = self._identity(), state.get("identity", {})
        foreign = [name for name in own if own[name] != other.get(name)]
        if foreign:
            raise RequestError(
                f"checkpoint '{path}' belongs to another training: it differs in "
                f"{', '.join(foreign)}. Give another path, or delete it to start anew."
            )
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.generator.set_state(state["generator"])
        self.curve = [Epoch(**epoch) for epoch in state["curve"]]
        self.steps = state["steps"]


def optimiser(network: nn.Module, recipe: Recipe) -> torch.optim.SGD:
    """SGD whose weight decay spares biases and batch norms, which are vectors."""
    parameters = list(network.parameters())
    return torch.optim.SGD(
        [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": recipe.weight_decay},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ],
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        nesterov=recipe.momentum > 0,
    )
