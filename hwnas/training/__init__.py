"""Training: data sets, the recipe, the one loop."""

from hwnas.training.data import load_data
from hwnas.training.images import ImageData
from hwnas.training.loop import Epoch, TrainingResult, evaluate, train
from hwnas.training.recipe import Recipe

__all__ = ["Epoch", "ImageData", "Recipe", "TrainingResult", "evaluate", "load_data", "train"]
