"""Accuracy by a short training that starts from the weights of the nearest relative."""

import math
import os
import shutil
import tempfile
import time
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

from hwnas.errors import DivergedError, SpecError
from hwnas.estimators.base import Budget, Estimate
from hwnas.files import make_folder, storage_error
from hwnas.nets.inherit import inherit
from hwnas.nets.network import Network
from hwnas.spaces.architecture import Architecture
from hwnas.training.images import ImageData
from hwnas.training.loop import train
from hwnas.training.recipe import Recipe
from hwnas.training.weight_store import WeightStore

FOLDER_VARIABLE = "HWNAS_WEIGHTS"
"""The environment variable that names a folder in which weights are kept."""

TUNING_RATE = 0.3


class InheritEstimator:
    """Trains each architecture from its nearest trained relative's weights, and keeps its own.

    As in Net2Net (Chen et al., 2016) and the morphisms of Elsken et al. (2018): a
    child computes what its parent does where that can be, so that a few epochs
    tell what training from scratch tells after many. The first ones have no
    relative and train from scratch in the same epochs; with each generation there is
    more training in the weights, which the provenance says (``lineage_epochs``).

    An architecture that was trained with the same recipe and budget is not
    trained again.

    Args:
        data: The images.
        recipe: How to train; a budget's epochs replace the recipe's. Its seed is
            also that of the weights that are new.
        folder: Where weights are kept, apart for each data set, unless
            ``HWNAS_WEIGHTS`` names another folder; ``None`` is a temporary one that
            ends with the estimator, at the latest with the process.
        tuning_rate: Share of the recipe's learning rate with which inherited
            weights are trained, above 0 to 1.

    Raises:
        SpecError: ``tuning_rate`` is out of range.
    """

    name = "inherit"

    def __init__(
        self,
        data: ImageData,
        recipe: Recipe,
        folder: Path | None = None,
        *,
        tuning_rate: float = TUNING_RATE,
    ) -> None:
        if not 0 < tuning_rate <= 1:
            raise SpecError(f"inherit: tuning_rate must be above 0 to 1, received {tuning_rate}")
        self.data = data
        self.recipe = recipe
        self.folder = folder
        self.tuning_rate = tuning_rate
        self._store: WeightStore | None = None

    @property
    def store(self) -> WeightStore:
        """Where weights are kept; its folder is made when it is first asked for.

        Raises:
            RequestError: A file stands in the folder's place.
            StorageError: The folder cannot be made.
        """
        if self._store is None:
            # Before anything is trained, so that no training is lost to a folder that cannot be.
            self._store = WeightStore(make_folder(self._base() / self.data.digest))
        return self._store

    def _base(self) -> Path:
        kept = os.environ.get(FOLDER_VARIABLE)
        if kept:
            return Path(kept)
        if self.folder is not None:
            return self.folder
        try:
            folder = tempfile.mkdtemp(prefix="hwnas-weights-")
        except OSError as error:
            raise storage_error(
                Path(tempfile.gettempdir()), error, f"name a folder in {FOLDER_VARIABLE}"
            ) from error
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return Path(folder)

    def estimate(self, architecture: Architecture, budget: Budget) -> Estimate:
        """The validation accuracy, 0 to 1; NaN where the training diverged.

        Args:
            architecture: What to train.
            budget: Its epochs replace the recipe's; its seconds end the training early.

        Returns:
            The estimate; its provenance has ``parent``, a digest or ``None``,
            ``preserved``, ``share`` and ``reasons`` (see
            :class:`~hwnas.nets.inherit.Inheritance`), ``lineage_epochs`` and ``stored``.
            Where nothing could be carried over there is no parent, and the reasons say so.

        Raises:
            DataError: The data do not fit the architecture.
            StorageError: A file of the store is broken, or cannot be written.
        """
        recipe = self.recipe
        if budget.epochs is not None:
            recipe = replace(recipe, epochs=budget.epochs)
        own = {
            "data": self.data.digest,
            "recipe": recipe.to_json(),
            "seconds": budget.seconds,
            "tuning_rate": self.tuning_rate,
        }
        note = self.store.note(architecture)
        if note is not None and note.get("training") == own:
            return Estimate(note["value"], 0.0, note["provenance"] | {"stored": True})
        start = time.perf_counter()
        network, recipe, inherited = self._begin(architecture, recipe)
        provenance = {
            "estimator": self.name,
            "data": self.data.name,
            "recipe": recipe.to_json(),
            **inherited,
            "stored": False,
        }
        try:
            result = train(network, self.data, recipe, budget_s=budget.seconds, test=False)
        except DivergedError as error:
            seconds = time.perf_counter() - start
            reason = {"diverged": True, "reason": str(error)}
            return Estimate(math.nan, seconds, provenance | reason)
        provenance |= {
            "diverged": False,
            "epochs": result.epochs,
            "lineage_epochs": inherited["lineage_epochs"] + result.epochs,
        }
        self.store.save(
            network, {"training": own, "value": result.accuracy, "provenance": provenance}
        )
        return Estimate(result.accuracy, time.perf_counter() - start, provenance)

    def _begin(
        self, architecture: Architecture, recipe: Recipe
    ) -> tuple[Network, Recipe, dict[str, Any]]:
        """The network that is to be trained, how, and what it has of a parent."""
        relative = self.store.nearest(architecture)
        # Another process may have removed it since.
        parent = None if relative is None else self.store.load(relative)
        reasons: list[str] = []
        if parent is not None:
            network, found = inherit(parent.network, architecture, seed=recipe.seed)
            if found.share > 0:
                before = float(parent.note.get("provenance", {}).get("lineage_epochs", 0.0))
                recipe = replace(recipe, learning_rate=self.tuning_rate * recipe.learning_rate)
                return network, recipe, found.to_json() | {"lineage_epochs": before}
            reasons.append(f"nothing of the nearest relative {found.parent} could be carried over")
        nothing: dict[str, Any] = {
            "parent": None,
            "preserved": False,
            "share": 0.0,
            "reasons": reasons,
            "lineage_epochs": 0.0,
        }
        return Network(architecture, seed=recipe.seed), recipe, nothing
