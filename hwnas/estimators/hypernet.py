"""Accuracy of networks whose weights a hypernetwork predicts, as they are and as a start."""

import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hwnas.errors import DataError, DivergedError, SpecError
from hwnas.estimators.base import Budget, Estimate
from hwnas.nets.hypernetwork import run_with
from hwnas.nets.network import Network
from hwnas.nets.rescale import rescale
from hwnas.spaces.architecture import Architecture
from hwnas.spaces.space import SearchSpace
from hwnas.training.batches import batch_indices
from hwnas.training.evaluation import check_fit, evaluate, split_tensor
from hwnas.training.hypernet import HypernetEpoch, HypernetTraining, train_hypernetwork
from hwnas.training.hypernet_recipe import HypernetRecipe
from hwnas.training.images import ImageData
from hwnas.training.loop import train
from hwnas.training.recalibrate import IMAGES, recalibrate
from hwnas.training.recipe import Recipe

CHECKPOINT = "hypernet.state"
TUNING_RATE = 1.0
BATCH = 256


class Predictions:
    """Networks with predicted weights, from a hypernetwork that is trained when first asked.

    Args:
        data: The images.
        space: The architectures that it is trained over.
        recipe: How to train it.
        folder: Where its checkpoint is, so that it is trained once; ``None`` keeps nothing.
        on_epoch: Called after each epoch of its training.
    """

    def __init__(
        self,
        data: ImageData,
        space: SearchSpace,
        recipe: HypernetRecipe,
        folder: Path | None = None,
        on_epoch: Callable[[HypernetEpoch], None] | None = None,
    ) -> None:
        self.data, self.space, self.recipe = data, space, recipe
        self.folder, self.on_epoch = folder, on_epoch
        self._training: HypernetTraining | None = None
        self._failure: DivergedError | None = None

    @property
    def training(self) -> HypernetTraining:
        """The trained hypernetwork: of this process, of the checkpoint, or trained now.

        Raises:
            DivergedError: The training did not stay finite; it is not tried again.
            RequestError: The checkpoint is of another space, data set or recipe.
            StorageError: It cannot be written or read.
        """
        if self._failure is not None:
            raise self._failure
        if self._training is None:
            try:
                self._training = train_hypernetwork(
                    self.space,
                    self.data,
                    self.recipe,
                    checkpoint=None if self.folder is None else self.folder / CHECKPOINT,
                    on_epoch=self.on_epoch,
                )
            except DivergedError as error:
                self._failure = error
                raise
        return self._training

    def network(self, architecture: Architecture, *, seed: int) -> Network:
        """The predicted network, its statistics estimated on at most 2,000 training images.

        Args:
            architecture: What to predict.
            seed: Seed of the choice of images.

        Raises:
            DataError: The data do not fit the architecture.
            DivergedError: The hypernetwork's training did not stay finite.
        """
        network = self.training.hypernetwork.network(architecture, seed=seed)
        check_fit(network, self.data)
        images = split_tensor(network, self.data, "train")
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
        recalibrate(network, images[order[:IMAGES]])
        return network.eval()

    def provenance(self) -> dict[str, Any]:
        """What the hypernetwork cost and reached, for every estimate."""
        own = self.training
        return {
            "hypernet": self.recipe.to_json(),
            "hypernet_seconds": own.seconds,
            "hypernet_loss": own.curve[-1].loss,
            "hypernet_train_accuracy": own.curve[-1].accuracy,
        }


class HypernetEstimator:
    """The accuracy of each architecture with the weights that a hypernetwork predicts.

    A network with predicted weights is far worse than a trained one; what is hoped for is
    that better architectures are predicted better. Its batch norms get statistics
    of their own from training images; the accuracy with those of the validation
    batches, as the papers report it, is in the provenance.

    Args:
        predictions: Where networks come from.
        seed: Seed of the images that statistics are estimated on, and of the batches.
    """

    name = "hypernet"

    def __init__(self, predictions: Predictions, *, seed: int = 0) -> None:
        self.predictions = predictions
        self.seed = seed

    def estimate(self, architecture: Architecture, budget: Budget) -> Estimate:
        """The validation accuracy of the predicted network, 0 to 1; NaN where there is none.

        The first estimate trains the hypernetwork, if no checkpoint has it, and counts that.

        Args:
            architecture: What to predict.
            budget: Does not count: nothing is trained for one architecture.

        Returns:
            The estimate; its provenance has ``recalibrated`` (the value), ``batch_statistics``
            and what the hypernetwork cost over all calls, ``hypernet_seconds``.

        Raises:
            DataError: The data do not fit the architecture or the space.
            RequestError: The checkpoint is of another space, data set or recipe.
            StorageError: It cannot be written or read.
        """
        start = time.perf_counter()
        data = self.predictions.data
        try:
            network = self.predictions.network(architecture, seed=self.seed)
        except DivergedError as error:
            return _diverged(self.name, data, start, error)
        accuracy = evaluate(network, data)
        provenance = {
            "estimator": self.name,
            "data": data.name,
            "recalibrated": accuracy,
            "batch_statistics": batch_accuracy(network, data, seed=self.seed),
        }
        seconds = time.perf_counter() - start
        return Estimate(accuracy, seconds, provenance | self.predictions.provenance())


class HypernetInitEstimator:
    """The accuracy after a short training that starts from predicted weights.

    Those before batch norms are brought to the size of new ones first
    (:func:`hwnas.nets.rescale.rescale`): predicted ones are several times as large.

    Args:
        predictions: Where networks come from.
        recipe: How to train them; a budget's epochs replace the recipe's.
        tuning_rate: Share of the recipe's learning rate for predicted weights, above 0 to 1.

    Raises:
        SpecError: ``tuning_rate`` is out of range.
    """

    name = "hypernet-init"

    def __init__(
        self, predictions: Predictions, recipe: Recipe, *, tuning_rate: float = TUNING_RATE
    ) -> None:
        if not 0 < tuning_rate <= 1:
            raise SpecError(
                f"hypernet-init: tuning_rate must be above 0 to 1, received {tuning_rate}"
            )
        self.predictions = predictions
        self.recipe = recipe
        self.tuning_rate = tuning_rate

    def estimate(self, architecture: Architecture, budget: Budget) -> Estimate:
        """The validation accuracy, 0 to 1; NaN where a training diverged.

        The first estimate trains the hypernetwork, if no checkpoint has it, and counts that.

        Args:
            architecture: What to train.
            budget: Its epochs replace the recipe's; its seconds and MACs end the short training
                early.

        Returns:
            The estimate; its provenance has ``predicted``, the accuracy at the start.

        Raises:
            DataError: The data do not fit the architecture or the space.
            RequestError: The checkpoint is of another space, data set or recipe.
            StorageError: It cannot be written or read.
        """
        recipe = self.recipe
        if budget.epochs is not None:
            recipe = replace(recipe, epochs=budget.epochs)
        recipe = replace(recipe, learning_rate=recipe.learning_rate * self.tuning_rate)
        start = time.perf_counter()
        data = self.predictions.data
        try:
            network = self.predictions.network(architecture, seed=recipe.seed)
        except DivergedError as error:
            return _diverged(self.name, data, start, error)
        provenance = {
            "estimator": self.name,
            "data": data.name,
            "recipe": recipe.to_json(),
            "predicted": evaluate(network, data),
            **self.predictions.provenance(),
        }
        rescale(network, Network(architecture, seed=recipe.seed))
        try:
            result = train(
                network,
                data,
                recipe,
                budget_s=budget.seconds,
                budget_macs=budget.macs,
                test=False,
            )
        except DivergedError as error:
            seconds = time.perf_counter() - start
            reason = {"diverged": True, "reason": str(error)}
            return Estimate(math.nan, seconds, provenance | reason)
        return Estimate(
            result.accuracy,
            time.perf_counter() - start,
            provenance
            | {
                "diverged": False,
                "epochs": result.epochs,
                "curve": [round(epoch.accuracy, 6) for epoch in result.curve],
            },
        )


def _diverged(name: str, data: ImageData, start: float, error: DivergedError) -> Estimate:
    """What is recorded where there is no hypernetwork."""
    reason = {"estimator": name, "data": data.name, "diverged": True, "reason": str(error)}
    return Estimate(math.nan, time.perf_counter() - start, reason)


@torch.no_grad()
def batch_accuracy(network: Network, data: ImageData, *, seed: int = 0) -> float:
    """Share of the validation images classified right by the statistics of their batches.

    Args:
        network: Its running statistics are neither used nor changed.
        data: The images, in random batches of at most 256 that are equal to within one.
        seed: Seed of the batches.

    Raises:
        DataError: The data do not fit the network, or there is one validation image.
    """
    check_fit(network, data)
    images: Tensor = split_tensor(network, data, "validation")
    if len(images) < 2:
        raise DataError(
            f"data '{data.name}' has one validation image, which has no statistics; at least 2"
        )
    labels = data.labels("validation").to(images.device)
    weights = dict(network.named_parameters())
    generator = torch.Generator().manual_seed(seed)
    right = 0
    for index in batch_indices(len(labels), BATCH, generator):
        batch = images[index].contiguous(memory_format=torch.channels_last)
        logits = run_with(network.architecture, weights, batch)
        right += int((logits.argmax(1) == labels[index]).sum().item())
    return right / len(labels)
