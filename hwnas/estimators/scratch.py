"""Accuracy by training from scratch: the reference that every other estimator is held to."""

import hashlib
import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from hwnas.errors import DivergedError
from hwnas.estimators.base import Budget, Estimate
from hwnas.nets.network import Network
from hwnas.spaces.architecture import Architecture
from hwnas.training.curve import EarlyStopping, Epoch
from hwnas.training.horizon import epochs_within
from hwnas.training.images import ImageData
from hwnas.training.loop import train
from hwnas.training.recipe import Recipe


class ScratchEstimator:
    """Trains each architecture and takes its accuracy on the validation images.

    Args:
        data: The images.
        recipe: How to train; a budget's epochs replace the recipe's. Its seed
            is also that of the initial weights.
        folder: Where a training that is under way is kept after each epoch, so that a run
            that is cut off goes on within it, to the same result; removed when it
            is done. Without one nothing is kept.
        stopping: When to end a training whose accuracy no longer rises; never by default.
    """

    name = "scratch"

    def __init__(
        self,
        data: ImageData,
        recipe: Recipe,
        *,
        folder: Path | None = None,
        stopping: EarlyStopping | None = None,
    ) -> None:
        self.data = data
        self.recipe = recipe
        self.folder = folder
        self.stopping = stopping

    def estimate(self, architecture: Architecture, budget: Budget) -> Estimate:
        """The validation accuracy, 0 to 1; NaN where the training diverged.

        Args:
            architecture: What to train.
            budget: Its epochs replace the recipe's; its seconds end the training early.
                Its MACs do too, but without epochs in the budget they alone count: a
                small architecture then trains longer than the recipe says.

        Returns:
            The estimate, with what all calls took if it was resumed. Its provenance has
            the ``curve`` (validation accuracy after each epoch), of a diverged
            training as far as it came; ``epochs``, ``macs``, ``best_epoch`` and ``ended_by`` as
            in :class:`~hwnas.training.curve.TrainingResult`.

        Raises:
            DataError: The data do not fit the architecture.
            StorageError: A checkpoint cannot be written or read.
        """
        start = time.perf_counter()
        recipe = self._recipe(architecture, budget)
        provenance: dict[str, Any] = {
            "estimator": self.name,
            "data": self.data.name,
            "recipe": recipe.to_json(),
        }
        if self.stopping is not None:
            provenance["stopping"] = asdict(self.stopping)
        checkpoint = self._checkpoint(architecture, recipe, budget)
        epochs_here: list[Epoch] = []
        try:
            result = train(
                Network(architecture, seed=recipe.seed),
                self.data,
                recipe,
                budget_s=budget.seconds,
                budget_macs=budget.macs,
                stopping=self.stopping,
                on_epoch=epochs_here.append,
                checkpoint=checkpoint,
                test=False,
            )
        except DivergedError as error:
            value, epochs_s = math.nan, error.seconds
            found = {"diverged": True, "reason": str(error), "curve": _rounded(error.curve)}
        else:
            value, epochs_s = result.accuracy, result.seconds
            found = {
                "diverged": False,
                "epochs": result.epochs,
                "macs": result.macs,
                "best_epoch": result.best_epoch,
                "ended_by": result.ended_by,
                "curve": _rounded([epoch.accuracy for epoch in result.curve]),
            }
        if checkpoint is not None:
            checkpoint.unlink(missing_ok=True)
        earlier_s = epochs_s - sum(epoch.seconds for epoch in epochs_here)
        seconds = time.perf_counter() - start + earlier_s
        return Estimate(value, seconds, provenance | found)

    def _recipe(self, architecture: Architecture, budget: Budget) -> Recipe:
        if budget.epochs is not None:
            return replace(self.recipe, epochs=budget.epochs)
        if budget.macs is None:
            return self.recipe
        images = len(self.data.train.labels)
        return replace(self.recipe, epochs=epochs_within(budget.macs, images, architecture.macs))

    def _checkpoint(
        self, architecture: Architecture, recipe: Recipe, budget: Budget
    ) -> Path | None:
        """One file for each training, so that other settings in the same folder do not meet."""
        if self.folder is None:
            return None
        own = {
            "recipe": recipe.to_json(),
            "budget": asdict(budget),
            "stopping": None if self.stopping is None else asdict(self.stopping),
            "images": self.data.digest,
        }
        settings = hashlib.sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()[:12]
        return self.folder / f"{architecture.digest}-{settings}.training"


def _rounded(accuracies: Sequence[float]) -> list[float]:
    return [round(accuracy, 6) for accuracy in accuracies]
