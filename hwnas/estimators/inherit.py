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
        store: Where weights are kept; ``None`` is a folder per data set in that which
            ``HWNAS_WEIGHTS`` names, or else one that ends with the process.
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
        store: WeightStore | None = None,
        *,
        tuning_rate: float = TUNING_RATE,
    ) -> None:
        if not 0 < tuning_rate <= 1:
            raise SpecError(f"inherit: tuning_rate must be above 0 to 1, received {tuning_rate}")
        self.data = data
        self.recipe = recipe
        self.store = WeightStore(self._folder()) if store is None else store
        self.tuning_rate = tuning_rate

    def _folder(self) -> Path:
        kept = os.environ.get(FOLDER_VARIABLE)
        if kept:
            return Path(kept) / self.data.digest
        folder = tempfile.mkdtemp(prefix="hwnas-weights-")
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
        parent = None if relative is None else self.store.load(relative)
        if relative is None or parent is None:
            nothing: dict[str, Any] = {
                "parent": None,
                "preserved": False,
                "share": 0.0,
                "reasons": [],
                "lineage_epochs": 0.0,
            }
            return Network(architecture, seed=recipe.seed), recipe, nothing
        network, found = inherit(parent, architecture, seed=recipe.seed)
        note = self.store.note(relative) or {}
        before = float(note.get("provenance", {}).get("lineage_epochs", 0.0))
        recipe = replace(recipe, learning_rate=self.tuning_rate * recipe.learning_rate)
        return network, recipe, found.to_json() | {"lineage_epochs": before}
