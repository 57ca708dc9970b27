"""Training of a supernet: one path a batch, all architectures of a space at once."""

import copy
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from hwnas.errors import DivergedError, RequestError, SpecError
from hwnas.nets.channel_sort import sort_channels
from hwnas.nets.elastic import ElasticNetwork
from hwnas.nets.once_for_all import OnceForAllNetwork
from hwnas.nets.parameters import channels_last
from hwnas.spaces.space import SearchSpace
from hwnas.training.batches import batch_indices, shifted
from hwnas.training.checkpoint import check_identity, load_state, save_state
from hwnas.training.evaluation import check_space
from hwnas.training.images import ImageData
from hwnas.training.loop import optimiser
from hwnas.training.phases import Phase, largest, phases, raised
from hwnas.training.recipe import Recipe

CLIP = 5.0
"""Bound of the gradient's norm: paths that were not drawn for long have large ones."""

DISTILLATION = 1.0
"""Weight of the largest network's word beside the labels' (Cai et al., 2020)."""


@dataclass(frozen=True)
class SupernetEpoch:
    """What one pass over the training images gave.

    Args:
        epoch: Its number, from 1, over all phases.
        phase: Name of its phase.
        loss: Mean training loss over the drawn paths, with distillation where there is any.
        seconds: Time of the pass.
    """

    epoch: int
    phase: str
    loss: float
    seconds: float


@dataclass(frozen=True, eq=False)
class TrainedSupernet:
    """What a training gave.

    Args:
        network: The shared weights.
        curve: The epochs, first to last.
        seconds: Time of all epochs, over all calls if the training was resumed.
        resumed_at: Epochs that an earlier call had finished.
    """

    network: ElasticNetwork
    curve: tuple[SupernetEpoch, ...]
    seconds: float
    resumed_at: int


def train_supernet(
    space: SearchSpace,
    data: ImageData,
    recipe: Recipe,
    *,
    epochs: int,
    mode: str = "uniform",
    checkpoint: Path | None = None,
    on_epoch: Callable[[SupernetEpoch], None] | None = None,
) -> TrainedSupernet:
    """Train the shared weights of a space.

    Each batch trains one random path. ``"uniform"`` draws it from the whole space
    and shares plain slices (Guo et al., 2020). ``"progressive"`` trains the largest
    network first and then opens the space dimension by dimension, with elastic
    kernels, channels sorted before they shrink, and distillation from the largest
    network as it was after the first phase (Cai et al., 2020): the loss is
    cross-entropy + 1.0 · cross-entropy to the teacher's probabilities. Where a space
    has choices without an order, the teacher of a path is the largest path that
    agrees with it in those.

    The learning rate follows the recipe's schedule anew in each phase, with the
    optimiser's memory emptied; later phases reach 0.3 of it.

    Args:
        space: The space.
        data: The images.
        recipe: How to train; its epochs do not count, its seed is also that of the
            initial weights and the paths.
        epochs: Passes over the training images, for all phases together.
        mode: ``"uniform"`` or ``"progressive"``.
        checkpoint: A file that is written after each epoch, and from which an
            interrupted training goes on to the very weights that it would have reached.
        on_epoch: Called after each epoch.

    Raises:
        DataError: The classes are not those of the space.
        UnknownNameError: There is no such mode.
        RequestError: There are fewer epochs than phases, or the checkpoint is of
            another space, recipe, data set or mode.
        DivergedError: The loss did not stay finite.
        StorageError: The checkpoint cannot be written or read.
    """
    run = _Run(space, data, recipe, epochs, mode)
    if checkpoint is not None and checkpoint.exists():
        run.restore(checkpoint)
    resumed_at = len(run.curve)
    while len(run.curve) < epochs:
        run.epoch()
        if checkpoint is not None:
            save_state(checkpoint, run.state())
        if on_epoch is not None:
            on_epoch(run.curve[-1])
    seconds = sum(epoch.seconds for epoch in run.curve)
    return TrainedSupernet(run.network, tuple(run.curve), seconds, resumed_at)


def supernet_of(space: SearchSpace, mode: str, seed: int) -> ElasticNetwork:
    """The untrained shared weights of a mode: plain slices, or once-for-all's elastic layers."""
    kind = OnceForAllNetwork if mode == "progressive" else ElasticNetwork
    return kind(space, seed=seed)


class _Run:
    """A training in progress."""

    def __init__(
        self, space: SearchSpace, data: ImageData, recipe: Recipe, epochs: int, mode: str
    ) -> None:
        if type(epochs) is not int or epochs < 1:
            raise SpecError(f"supernet: epochs must be a whole number from 1, received {epochs!r}")
        check_space(space, data)
        self.space, self.data, self.recipe, self.mode = space, data, recipe, mode
        self.epochs = epochs
        # By epoch: its phase, and how many epochs of the phase are before it.
        self.plan: list[tuple[Phase, int]] = [
            (phase, done) for phase in phases(space, mode, epochs) for done in range(phase.epochs)
        ]
        self.network = supernet_of(space, mode, recipe.seed)
        self.layout = channels_last(self.network)
        self.teacher: ElasticNetwork | None = None
        self.labels = data.labels("train")
        self.generator = torch.Generator().manual_seed(recipe.seed)
        self.optimiser = optimiser(self.network, recipe)
        self.curve: list[SupernetEpoch] = []

    def epoch(self) -> None:
        start = time.perf_counter()
        number = len(self.curve)
        phase, done = self.plan[number]
        if done == 0:
            self._begin(phase)
        batches = list(batch_indices(len(self.labels), self.recipe.batch_size, self.generator))
        total = 0.0
        for step, index in enumerate(batches):
            progress = (done + step / len(batches)) / phase.epochs
            for group in self.optimiser.param_groups:
                group["lr"] = phase.rate * self.recipe.rate(progress)
            loss = self._step(phase, index)
            if not math.isfinite(loss):
                raise DivergedError(
                    f"the shared weights of space '{self.space.name}' diverged: the loss is {loss} "
                    f"in step {step + 1} of epoch {number + 1} (phase {phase.name}); lower the "
                    f"learning rate ({self.recipe.learning_rate})"
                )
            total += loss * len(index)
        seconds = time.perf_counter() - start
        mean = total / len(self.labels)
        self.curve.append(SupernetEpoch(number + 1, phase.name, mean, seconds))

    def _begin(self, phase: Phase) -> None:
        if phase.distil and self.teacher is None:
            self.teacher = copy.deepcopy(self.network).requires_grad_(False)
        if phase.sort:
            sort_channels(self.network, largest(self.space))
        # What it remembers is of other paths, and of channels in another order.
        self.optimiser = optimiser(self.network, self.recipe)

    def _step(self, phase: Phase, index: Tensor) -> float:
        genes = phase.sample(self.generator)
        channels, height, width = self.space.input_shape(genes)
        images = self.data.tensor("train", (height, width), channels)[index]
        images = shifted(images, self.recipe.shift, self.generator)
        images = images.contiguous(memory_format=self.layout)
        logits = self.network(images, genes)
        loss = functional.cross_entropy(
            logits, self.labels[index], label_smoothing=self.recipe.label_smoothing
        )
        if phase.distil and self.teacher is not None:
            with torch.no_grad():
                wanted = self.teacher(images, raised(self.space, genes)).softmax(1)
            loss = loss + DISTILLATION * functional.cross_entropy(logits, wanted)
        value = float(loss.item())
        if math.isfinite(value):
            # Weights off the path keep no gradient, so neither momentum nor decay moves them.
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), CLIP)
            self.optimiser.step()
        return value

    def _identity(self) -> dict[str, Any]:
        return {
            "space": self.space.describe(),
            "mode": self.mode,
            "epochs": self.epochs,
            "recipe": self.recipe.to_json(),
            "data": self.data.name,
            "images": self.data.digest,
        }

    def state(self) -> dict[str, Any]:
        return {
            "identity": self._identity(),
            "network": self.network.state_dict(),
            "teacher": None if self.teacher is None else self.teacher.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "generator": self.generator.get_state(),
            "curve": [asdict(epoch) for epoch in self.curve],
        }

    def restore(self, path: Path) -> None:
        state = load_state(path)
        own, other = self._identity(), state.get("identity", {})
        if own["space"] != other.get("space"):
            theirs = other.get("space", {}).get("name", "another kind of training")
            raise RequestError(
                f"checkpoint '{path}' is of another space: '{theirs}', not "
                f"'{self.space.name}' as it is now. Give another path, or delete it to start anew."
            )
        check_identity(path, own, other)
        self.network.load_state_dict(state["network"])
        if state["teacher"] is not None:
            self.teacher = copy.deepcopy(self.network).requires_grad_(False)
            self.teacher.load_state_dict(state["teacher"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.generator.set_state(state["generator"])
        self.curve = [SupernetEpoch(**epoch) for epoch in state["curve"]]
