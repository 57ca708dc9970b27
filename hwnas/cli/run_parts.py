"""What runs that train architectures of a space have in common: data, device, training limits."""

from dataclasses import dataclass
from typing import Any

from hwnas.cli.common import fitted_predictor, note, progress
from hwnas.estimators import Budget
from hwnas.export.bags import SpaceBags
from hwnas.predictors import SpacePredictor
from hwnas.profiles import DeviceProfile
from hwnas.spaces import SearchSpace
from hwnas.training import EarlyStopping, ImageData, load_data
from hwnas.training.evaluation import check_space

MANY_BLOCKS = 4000
"""A space of so many blocks takes several seconds, and is worth a bar."""


@dataclass(frozen=True)
class TrainingLimits:
    """When one training of a run ends.

    Args:
        epochs: Passes over the training images; ``None`` where ``macs`` alone count.
        seconds: Time.
        macs: Multiply-accumulates of training, see :class:`hwnas.estimators.base.Budget`.
        patience: Epochs without improvement; ``None`` for all epochs.

    Raises:
        SpecError: A value is out of range.
    """

    epochs: int | None
    seconds: float | None = None
    macs: float | None = None
    patience: int | None = None

    def __post_init__(self) -> None:
        """Check the values before anything is trained."""
        self.budget()
        self.stopping()

    @classmethod
    def asked(
        cls,
        epochs: int | None,
        seconds: float | None,
        macs: float | None,
        patience: int | None,
        *,
        usual: int,
    ) -> "TrainingLimits":
        """The limits that options ask for; ``usual`` epochs unless epochs or MACs are given."""
        if epochs is None and macs is None:
            epochs = usual
        return cls(epochs, seconds, macs, patience)

    def budget(self) -> Budget:
        """What one training may cost."""
        return Budget(self.epochs, self.seconds, self.macs)

    def stopping(self) -> EarlyStopping | None:
        """When it ends because nothing improves."""
        return None if self.patience is None else EarlyStopping(self.patience)

    def header(self) -> dict[str, Any]:
        """What a journal must say besides the recipe: limits that were given, none otherwise."""
        own = {"seconds": self.seconds, "macs": self.macs, "patience": self.patience}
        given = {name: value for name, value in own.items() if value is not None}
        if self.epochs is not None and given:
            given["epochs"] = self.epochs
        return {"training": given} if given else {}


def data_for(space: SearchSpace, text: str, seed: int) -> ImageData:
    """The data of a run in a space.

    Raises:
        DataError: They do not exist, cannot be learned from, or their classes are not those of
            the space.
    """
    data = load_data(text, seed=seed)
    check_space(space, data)
    return data


def predictor_of(profile: DeviceProfile, space: SearchSpace) -> SpacePredictor:
    """The fitted predictor of a device for the architectures of a space.

    Raises:
        ProfileError: The device has no predictor.
    """
    predictor = fitted_predictor(profile)
    bags = SpaceBags(space, profile.fusion())
    if len(bags.blocks) >= MANY_BLOCKS:
        with progress(f"kernels of {len(bags.blocks)} blocks") as bar:
            bags.prepare(bar.update)
    return SpacePredictor(predictor, bags)


def opened(device: str) -> DeviceProfile:
    """The profile of a device, waited for where another process writes it.

    Raises:
        ProfileError: There is none.
    """
    return DeviceProfile.open(device, on_wait=note)
