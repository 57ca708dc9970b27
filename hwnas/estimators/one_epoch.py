"""One epoch of training: the baseline that costs little and that few estimators beat."""

from dataclasses import replace

from hwnas.estimators.base import Budget, Estimate
from hwnas.estimators.scratch import ScratchEstimator
from hwnas.spaces.architecture import Architecture
from hwnas.training.images import ImageData
from hwnas.training.recipe import Recipe


class OneEpochEstimator:
    """The accuracy after one epoch, over which the learning rate rises and falls.

    Args:
        data: The images.
        recipe: How to train; its epochs do not count.
    """

    name = "one-epoch"

    def __init__(self, data: ImageData, recipe: Recipe) -> None:
        self._scratch = ScratchEstimator(data, replace(recipe, epochs=1))

    def estimate(self, architecture: Architecture, budget: Budget) -> Estimate:
        """The validation accuracy, 0 to 1; NaN where the training diverged.

        Args:
            architecture: What to train.
            budget: Its seconds end the epoch early; its epochs and MACs do not count.

        Raises:
            DataError: The data do not fit the architecture.
        """
        found = self._scratch.estimate(architecture, Budget(seconds=budget.seconds))
        return replace(found, provenance={**found.provenance, "estimator": self.name})
