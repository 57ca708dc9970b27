"""The one training loop."""

import math
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from hwnas.errors import DivergedError
from hwnas.nets.network import Network
from hwnas.nets.parameters import channels_last
from hwnas.training.batches import batch_indices, shifted
from hwnas.training.checkpoint import check_identity, load_state, save_state
from hwnas.training.curve import EarlyStopping, Epoch, TrainingResult, best_of
from hwnas.training.evaluation import check_fit, evaluate, split_tensor
from hwnas.training.horizon import Horizon
from hwnas.training.images import ImageData
from hwnas.training.recipe import Recipe

__all__ = [
    "EarlyStopping",
    "Epoch",
    "Recipe",
    "TrainingResult",
    "check_fit",
    "evaluate",
    "optimiser",
    "split_tensor",
    "train",
]


def train(
    network: Network,
    data: ImageData,
    recipe: Recipe,
    *,
    budget_s: float | None = None,
    budget_macs: float | None = None,
    stopping: EarlyStopping | None = None,
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
        budget_macs: Make no step beyond so many multiply-accumulates (see
            :func:`hwnas.training.curve.training_macs`), but one at least, if that is
            earlier than the recipe's epochs. The learning rate falls to the last step.
        stopping: When to end because the accuracy no longer rises; the schedule is
            then left before its end. The weights of the best epoch are given back.
        on_epoch: Called after each epoch.
        checkpoint: A file that is written after each epoch, and from which an
            interrupted training goes on as if it had not been interrupted.
        test: Evaluate on the test images at the end. What a search sees must not
            have seen them.

    Raises:
        DataError: The data do not fit the network.
        DivergedError: The loss or an output did not stay finite; it has the curve so far.
        RequestError: The checkpoint is of another network, recipe, budget or data set.
        StorageError: The checkpoint cannot be written or read.
    """
    check_fit(network, data)
    run = _Run(network, data, recipe, budget_s, budget_macs, stopping)
    if checkpoint is not None and checkpoint.exists():
        run.restore(checkpoint)
    try:
        while (ended_by := run.ended_by) is None:
            run.epoch()
            if checkpoint is not None:
                save_state(checkpoint, run.state())
            if on_epoch is not None:
                on_epoch(run.curve[-1])
    except DivergedError as error:
        raise DivergedError(
            str(error), [epoch.accuracy for epoch in run.curve], run.seconds
        ) from error
    return run.result(ended_by, test)


class _Run:
    """A training in progress."""

    def __init__(
        self,
        network: Network,
        data: ImageData,
        recipe: Recipe,
        budget_s: float | None,
        budget_macs: float | None,
        stopping: EarlyStopping | None,
    ) -> None:
        self.layout = channels_last(network)
        self.network = network
        self.data, self.recipe, self.budget_s = data, recipe, budget_s
        self.budget_macs, self.stopping = budget_macs, stopping
        self.images = split_tensor(network, data, "train")
        self.labels = data.labels("train").to(self.images.device)
        self.horizon = Horizon(
            len(self.labels),
            recipe.batch_size,
            recipe.epochs,
            budget_macs,
            network.architecture.macs,
        )
        self.generator = torch.Generator().manual_seed(recipe.seed)
        self.optimiser = optimiser(network, recipe)
        self.curve: list[Epoch] = []
        self.steps = 0
        self.best: dict[str, Tensor] | None = None

    @property
    def seconds(self) -> float:
        """Time of the finished epochs."""
        return sum(epoch.seconds for epoch in self.curve)

    @property
    def ended_by(self) -> str | None:
        """What ended the training; ``None`` before its end."""
        if self.steps >= self.horizon.steps:
            return "macs" if self.horizon.cut else "epochs"
        if self.steps > 0 and self._spent(0.0) >= 1:
            return "seconds"
        if self.stopping is not None and self.stopping.is_over(self.curve):
            return "patience"
        return None

    def _spent(self, seconds: float) -> float:
        """Share of the time that is used up, ``seconds`` into the current epoch."""
        if self.budget_s is None:
            return 0.0
        return (self.seconds + seconds) / self.budget_s if self.budget_s > 0 else 1.0

    def epoch(self) -> None:
        start = time.perf_counter()
        self.network.train()
        total, seen = 0.0, 0
        for index in batch_indices(len(self.labels), self.recipe.batch_size, self.generator):
            spent = self._spent(time.perf_counter() - start)
            if seen and (spent >= 1 or self.steps >= self.horizon.steps):
                break
            loss = self._step(index, max(self.steps / self.horizon.steps, spent))
            total, seen = total + loss * len(index), seen + len(index)
        accuracy = evaluate(self.network, self.data)
        number = len(self.curve) + 1
        self.curve.append(Epoch(number, total / seen, accuracy, time.perf_counter() - start))
        if self.stopping is not None and best_of(self.curve).epoch == number:
            self.best = {name: own.clone() for name, own in self.network.state_dict().items()}

    def result(self, ended_by: str, test: bool) -> TrainingResult:
        last = self.curve[-1]
        if self.best is not None:
            self.network.load_state_dict(self.best)
            last = best_of(self.curve)
        self.network.eval()
        return TrainingResult(
            accuracy=last.accuracy,
            test_accuracy=evaluate(self.network, self.data, "test") if test else None,
            curve=tuple(self.curve),
            epochs=self.steps / self.horizon.steps_per_epoch,
            seconds=self.seconds,
            macs=self.horizon.macs(self.steps),
            best_epoch=last.epoch,
            ended_by=ended_by,
        )

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
            "budget_s": self.budget_s,
            "budget_macs": self.budget_macs,
            "stopping": None if self.stopping is None else asdict(self.stopping),
        }

    def state(self) -> dict[str, Any]:
        return {
            "identity": self._identity(),
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "generator": self.generator.get_state(),
            "curve": [asdict(epoch) for epoch in self.curve],
            "steps": self.steps,
            "best": self.best,
        }

    def restore(self, path: Path) -> None:
        state = load_state(path)
        check_identity(path, self._identity(), state.get("identity", {}))
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.generator.set_state(state["generator"])
        self.curve = [Epoch(**epoch) for epoch in state["curve"]]
        self.steps = state["steps"]
        self.best = state.get("best")


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
