"""Search: strategies in ask/tell form under one latency limit. Only ``gradient`` needs torch."""

from hwnas.search.constraint import GenotypePredictor, LatencyConstraint
from hwnas.search.evolution import Evolution
from hwnas.search.journal import Journal
from hwnas.search.pareto import pareto_front
from hwnas.search.strategy import STRATEGIES, RandomSearch, Strategy
from hwnas.search.study import Study
from hwnas.search.trial import Evaluation, Trial

__all__ = [
    "STRATEGIES",
    "Evaluation",
    "Evolution",
    "GenotypePredictor",
    "Journal",
    "LatencyConstraint",
    "RandomSearch",
    "Strategy",
    "Study",
    "Trial",
    "pareto_front",
]
