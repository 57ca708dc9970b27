"""Training: data sets, the recipe, the one loop, trained weights."""

from hwnas.training.data import load_data
from hwnas.training.images import ImageData
from hwnas.training.loop import Epoch, TrainingResult, evaluate, train
from hwnas.training.recalibrate import recalibrate
from hwnas.training.recipe import Recipe
from hwnas.training.supernet import SupernetEpoch, TrainedSupernet, train_supernet
from hwnas.training.weight_store import WeightStore

__all__ = [
    "Epoch",
    "ImageData",
    "Recipe",
    "SupernetEpoch",
    "TrainedSupernet",
    "TrainingResult",
    "WeightStore",
    "evaluate",
    "load_data",
    "recalibrate",
    "train",
    "train_supernet",
]
