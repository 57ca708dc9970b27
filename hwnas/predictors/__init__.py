"""Predictors: what a network costs on a profiled device. Nothing here times anything."""

from hwnas.predictors.evaluation import evaluate, noise_floor_pct
from hwnas.predictors.latency import LatencyPredictor
from hwnas.predictors.metrics import Accuracy, accuracy
from hwnas.predictors.prediction import KernelShare, Prediction
from hwnas.predictors.space import SlotCost, SpacePredictor

__all__ = [
    "Accuracy",
    "KernelShare",
    "LatencyPredictor",
    "Prediction",
    "SlotCost",
    "SpacePredictor",
    "accuracy",
    "evaluate",
    "noise_floor_pct",
]
