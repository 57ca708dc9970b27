"""Training: data sets, the recipe, the one loop, trained weights."""

from hwnas.training.curve import EarlyStopping, Epoch, TrainingResult
from hwnas.training.data import load_data
from hwnas.training.evaluation import evaluate
from hwnas.training.hypernet import train_hypernetwork
from hwnas.training.hypernet_recipe import HypernetRecipe
from hwnas.training.images import ImageData
from hwnas.training.loop import train
from hwnas.training.recalibrate import recalibrate
from hwnas.training.recipe import Recipe
from hwnas.training.supernet import SupernetEpoch, TrainedSupernet, train_supernet
from hwnas.training.weight_store import WeightStore

__all__ = [
    "EarlyStopping",
    "Epoch",
    "HypernetRecipe",
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
    "train_hypernetwork",
    "train_supernet",
]
