"""Accuracy with weights inherited from a supernet that is trained once for a whole space."""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hwnas.errors import DivergedError, SpecError, UnknownNameError
from hwnas.estimators.base import Budget, Estimate
from hwnas.spaces.architecture import Architecture
from hwnas.spaces.recognise import recognise
from hwnas.spaces.space import SearchSpace
from hwnas.training.evaluation import check_space
from hwnas.training.images import ImageData
from hwnas.training.loop import evaluate
from hwnas.training.phases import MODES
from hwnas.training.recalibrate import IMAGES, recalibrate
from hwnas.training.recipe import Recipe
from hwnas.training.supernet import SupernetEpoch, TrainedSupernet, train_supernet

EPOCHS_FACTOR = 8
"""Epochs of the supernet for each of the recipe's, where nothing else is said."""

NAMES = dict(zip(MODES, ("supernet", "ofa"), strict=True))
"""By mode, the estimator's name in the registry."""

CHECKPOINT = "supernet.pt"


class SupernetEstimator:
    """The accuracy of a path of shared weights, without training of its own.

    The first estimate trains the supernet of the space, or restores it from
    ``folder``. An estimate cuts the architecture's network out of it, estimates the
    statistics of its batch norms on training images, and evaluates it on the
    validation images. The order of such accuracies is what is asked for; their values
    are below those of networks that are trained alone.

    A training that diverged is not tried again: all estimates are then NaN.

    Args:
        data: The images.
        recipe: How to train the supernet; its seed is also that of the weights and
            the paths. Its epochs count only where ``epochs`` is not given.
        space: Where the architectures come from.
        epochs: Passes over the training images for the supernet; ``None`` is
            8 times the recipe's.
        mode: ``"uniform"``: one path of plain slices a batch (Guo et al., 2020);
            ``"progressive"``: once-for-all (Cai et al., 2020). See
            :func:`hwnas.training.supernet.train_supernet`.
        folder: Where the checkpoint is kept; ``None`` keeps nothing.
        images: Training images for the statistics, at most.
        on_epoch: Called after each epoch of the supernet.

    Raises:
        DataError: The classes of the data are not those of the space.
        UnknownNameError: There is no such mode.
        SpecError: ``images`` is below two.
    """

    def __init__(
        self,
        data: ImageData,
        recipe: Recipe,
        space: SearchSpace,
        *,
        epochs: int | None = None,
        mode: str = "uniform",
        folder: Path | None = None,
        images: int = IMAGES,
        on_epoch: Callable[[SupernetEpoch], None] | None = None,
    ) -> None:
        if mode not in NAMES:
            raise UnknownNameError("supernet mode", mode, NAMES)
        if images < 2:
            raise SpecError(f"supernet: images must be at least 2, received {images}")
        check_space(space, data)
        self.data = data
        self.recipe = recipe
        self.space = space
        self.epochs = EPOCHS_FACTOR * recipe.epochs if epochs is None else epochs
        self.mode = mode
        self.folder = folder
        self.images = images
        self.on_epoch = on_epoch
        self._trained: TrainedSupernet | DivergedError | None = None

    @property
    def name(self) -> str:
        """``"supernet"`` for uniform paths, ``"ofa"`` for progressive shrinking."""
        return NAMES[self.mode]

    def estimate(self, architecture: Architecture, budget: Budget) -> Estimate:
        """The validation accuracy, 0 to 1; NaN where the supernet's training diverged.

        Args:
            architecture: One of the space's.
            budget: Does not count: what an estimate costs is decided by the supernet.

        Returns:
            The estimate. The one that finishes the training has all its seconds,
            those of earlier, interrupted calls too. The provenance has ``epochs`` and
            ``training_seconds`` of the supernet, ``trained`` (whether in this
            estimate), ``genotype`` and ``calibration_images``.

        Raises:
            SpecError: The architecture is not of the space.
            RequestError: There are fewer epochs than phases, or the folder has the
                supernet of another space, recipe or data set.
            StorageError: The checkpoint cannot be written or read.
        """
        start = time.perf_counter()
        genes = recognise(self.space, architecture)
        fresh = self._trained is None
        shared = self._shared()
        provenance: dict[str, Any] = {
            "estimator": self.name,
            "data": self.data.name,
            "space": self.space.name,
            "mode": self.mode,
            "recipe": self.recipe.to_json(),
            "epochs": self.epochs,
            "genotype": list(genes),
        }
        if isinstance(shared, DivergedError):
            reason = {"trained": fresh, "diverged": True, "reason": str(shared)}
            return Estimate(math.nan, time.perf_counter() - start, provenance | reason)
        trained = fresh and shared.resumed_at < self.epochs
        network = shared.network.extract(genes)
        channels, height, width = architecture.input_shape
        images = self.data.tensor("train", (height, width), channels)[: self.images]
        recalibrate(network, images)
        value = evaluate(network, self.data)
        provenance |= {
            "trained": trained,
            "diverged": False,
            "training_seconds": shared.seconds,
            "calibration_images": len(images),
        }
        before = sum(epoch.seconds for epoch in shared.curve[: shared.resumed_at])
        seconds = time.perf_counter() - start + (before if trained else 0.0)
        return Estimate(value, seconds, provenance)

    def _shared(self) -> TrainedSupernet | DivergedError:
        """The trained supernet, or why there is none."""
        if self._trained is None:
            try:
                self._trained = train_supernet(
                    self.space,
                    self.data,
                    self.recipe,
                    epochs=self.epochs,
                    mode=self.mode,
                    checkpoint=None if self.folder is None else self.folder / CHECKPOINT,
                    on_epoch=self.on_epoch,
                )
            except DivergedError as error:
                self._trained = error
        return self._trained
