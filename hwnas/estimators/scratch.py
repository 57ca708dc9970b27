"""Accuracy by training from scratch: the reference that every other estimator is held to."""

import math
import time
from dataclasses import replace

from hwnas.errors import DivergedError
from hwnas.estimators.base import Budget, Estimate
from hwnas.nets.network import Network
from hwnas.spaces.architecture import Architecture
from hwnas.training.images import ImageData
from hwnas.training.loop import train
from hwnas.training.recipe import Recipe


class ScratchEstimator:
    """Trains each architecture and takes its accuracy on the validation images.

    Args:
        data: The images.
        recipe: How to train; a budget's epochs replace the recipe's. Its seed
            is also that of the initial weights.
    """

    name = "scratch"

    def __init__(self, data: ImageData, recipe: Recipe) -> None:
        self.data = data
        self.recipe = recipe

    def estimate(self, architecture: Architecture, budget: Budget) -> Estimate:
        """The validation accuracy, 0 to 1; NaN where the training diverged.

        Args:
            architecture: What to train.
            budget: Its epochs replace the recipe's; its seconds end the training early.

        Raises:
            DataError: The data do not fit the architecture.
        """
        recipe = self.recipe
        if budget.epochs is not None:
            recipe = replace(recipe, epochs=budget.epochs)
        provenance = {"estimator": self.name, "data": self.data.name, "recipe": recipe.to_json()}
        start = time.perf_counter()
        try:
            result = train(
                Network(architecture, seed=recipe.seed),
                self.data,
                recipe,
                budget_s=budget.seconds,
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
