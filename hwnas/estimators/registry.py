"""Estimators by name."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hwnas.errors import RequestError, UnknownNameError
from hwnas.estimators.az_nas import AzNasScore
from hwnas.estimators.base import AccuracyEstimator
from hwnas.estimators.fisher import FisherScore
from hwnas.estimators.grad_norm import GradNormScore
from hwnas.estimators.gradsign import GradSignScore
from hwnas.estimators.grasp import GraspScore
from hwnas.estimators.hypernet import HypernetEstimator, HypernetInitEstimator, Predictions
from hwnas.estimators.inherit import InheritEstimator
from hwnas.estimators.jacob_cov import JacobCovScore
from hwnas.estimators.naswot import NaswotScore
from hwnas.estimators.one_epoch import OneEpochEstimator
from hwnas.estimators.scratch import ScratchEstimator
from hwnas.estimators.size import MacsScore, ParametersScore
from hwnas.estimators.snip import SnipScore
from hwnas.estimators.supernet import SupernetEstimator
from hwnas.estimators.synflow import SynflowScore
from hwnas.estimators.zen import ZenScore
from hwnas.estimators.zico import ZicoScore
from hwnas.spaces.space import SearchSpace
from hwnas.training.curve import EarlyStopping
from hwnas.training.hypernet import HypernetEpoch
from hwnas.training.hypernet_recipe import HypernetRecipe
from hwnas.training.images import ImageData
from hwnas.training.recipe import Recipe
from hwnas.training.supernet import SupernetEpoch


@dataclass(frozen=True)
class Setting:
    """What the estimators of one run have in common.

    Args:
        data: The images, for those that look at them.
        recipe: How to train, for those that do; brings its own seed.
        seed: Seed of the zero-shot scores.
        space: Where the architectures come from, for those that share weights over it.
        folder: Where weights are kept, so that an interrupted run goes on from them; each
            estimator that keeps any has a folder of its name there.
        stopping: When trainings from scratch end early; ``None`` for never.
        say: Told, for people, how far weights that are shared by all architectures have
            been trained, which takes long and happens within the first estimate.
    """

    data: ImageData
    recipe: Recipe
    seed: int
    space: SearchSpace | None = None
    folder: Path | None = None
    stopping: EarlyStopping | None = None
    say: Callable[[str], None] = lambda text: None

    def folder_of(self, name: str) -> Path | None:
        """The folder of one estimator, if anything is to be kept."""
        return None if self.folder is None else self.folder / name

    def space_for(self, name: str) -> SearchSpace:
        """The space, for an estimator that shares weights over it.

        Raises:
            RequestError: None is given.
        """
        if self.space is None:
            raise RequestError(
                f"estimator '{name}' shares weights over a search space; give one: "
                "Setting(..., space=...)"
            )
        return self.space


HYPERNET_EPOCHS = 4
"""Epochs of a hypernetwork for each epoch of a training from scratch."""


def _supernet(own: Setting, mode: str, name: str) -> SupernetEstimator:
    def on_epoch(epoch: SupernetEpoch) -> None:
        own.say(f"{name}: epoch {epoch.epoch} of {found.epochs} ({epoch.phase})")

    found = SupernetEstimator(
        own.data,
        own.recipe,
        own.space_for(name),
        mode=mode,
        folder=own.folder_of(name),
        on_epoch=on_epoch,
    )
    return found


def _predictions(own: Setting, name: str) -> Predictions:
    """Where predicted networks come from; both estimators share a hypernetwork on disk."""
    recipe = HypernetRecipe(
        epochs=HYPERNET_EPOCHS * own.recipe.epochs, shift=own.recipe.shift, seed=own.recipe.seed
    )

    def on_epoch(epoch: HypernetEpoch) -> None:
        own.say(f"hypernetwork: epoch {epoch.epoch} of {recipe.epochs}, loss {epoch.loss:.2f}")

    return Predictions(
        own.data, own.space_for(name), recipe, own.folder_of("hypernet"), on_epoch=on_epoch
    )


ESTIMATORS: dict[str, Callable[[Setting], AccuracyEstimator]] = {
    "scratch": lambda own: ScratchEstimator(
        own.data, own.recipe, folder=own.folder_of("scratch"), stopping=own.stopping
    ),
    "inherit": lambda own: InheritEstimator(own.data, own.recipe, own.folder_of("inherit")),
    "synflow": lambda own: SynflowScore(seed=own.seed),
    "naswot": lambda own: NaswotScore(own.data, seed=own.seed),
    "parameters": lambda own: ParametersScore(),
    "macs": lambda own: MacsScore(),
    "snip": lambda own: SnipScore(own.data, seed=own.seed),
    "grasp": lambda own: GraspScore(own.data, seed=own.seed),
    "fisher": lambda own: FisherScore(own.data, seed=own.seed),
    "grad_norm": lambda own: GradNormScore(own.data, seed=own.seed),
    "jacob_cov": lambda own: JacobCovScore(own.data, seed=own.seed),
    "zen": lambda own: ZenScore(seed=own.seed),
    "gradsign": lambda own: GradSignScore(own.data, seed=own.seed),
    "zico": lambda own: ZicoScore(own.data, seed=own.seed),
    "az_nas": lambda own: AzNasScore(seed=own.seed),
    "one-epoch": lambda own: OneEpochEstimator(own.data, own.recipe),
    "supernet": lambda own: _supernet(own, "uniform", "supernet"),
    "ofa": lambda own: _supernet(own, "progressive", "ofa"),
    "hypernet": lambda own: HypernetEstimator(_predictions(own, "hypernet"), seed=own.recipe.seed),
    "hypernet-init": lambda own: HypernetInitEstimator(
        _predictions(own, "hypernet-init"), own.recipe
    ),
}

TRAINED = (
    "scratch",
    "inherit",
    "one-epoch",
    "supernet",
    "ofa",
    "hypernet",
    "hypernet-init",
)
"""Those whose estimate is an accuracy, 0 to 1; of the others only the order means anything."""


def estimator(name: str, setting: Setting) -> AccuracyEstimator:
    """The estimator of a name.

    Args:
        name: One of ``ESTIMATORS``.
        setting: What it works with.

    Raises:
        UnknownNameError: There is none of that name.
        RequestError: It needs a space, and the setting has none.
    """
    if name not in ESTIMATORS:
        raise UnknownNameError("estimator", name, ESTIMATORS)
    return ESTIMATORS[name](setting)
