"""What a gradient search needs of shared weights; :mod:`hwnas.estimators` has them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from hwnas.search.constraint import Floats


class SharedWeights(Protocol):
    """Weights of all architectures of a space, and the genes that no gate can compare."""

    global_genes: tuple[int, ...]

    def save(self, path: Path) -> None:
        """Write weights and generator states."""
        ...

    def load(self, path: Path) -> None:
        """Go on from what :meth:`save` wrote."""
        ...


class PathWeights(SharedWeights, Protocol):
    """Shared weights that are trained along one path at a time."""

    def weight_step(self, genotype: Sequence[int]) -> float:
        """One step of the weights along a path; returns the training loss.

        Raises:
            DivergedError: The loss is not finite.
        """
        ...


class PathModel(PathWeights, Protocol):
    """Shared weights that are also probed by the gates of one path."""

    def gate_step(
        self, genotype: Sequence[int], alternatives: Mapping[int, int]
    ) -> tuple[float, dict[int, tuple[float, float]]]:
        """Held-out loss along a path, and its derivatives by the gates of some genes.

        For each gene of ``alternatives``: by the gate of the path's value, and by
        that of the alternative.
        """
        ...


class MixtureModel(PathWeights, Protocol):
    """Shared weights whose slots can give weighted sums of their blocks.

    ``shares`` are one vector per gene, the share of each of its values; where a
    gene is global, the genotype's value counts and its shares do not.
    """

    def mixed_weight_step(self, genotype: Sequence[int], shares: Sequence[Floats]) -> float:
        """One step of the weights of the mixture; returns the training loss.

        Raises:
            DivergedError: The loss is not finite.
        """
        ...

    def mixed_gate_step(
        self, genotype: Sequence[int], shares: Sequence[Floats]
    ) -> tuple[float, list[Floats]]:
        """Held-out loss of the mixture, and its derivatives by the shares.

        Blocks whose share is 0 are not run, and count as if they gave 0.
        """
        ...

    def unrolled_gate_step(
        self, genotype: Sequence[int], shares: Sequence[Floats]
    ) -> tuple[float, list[Floats]]:
        """The same after a step of the weights that depends on the shares, which is undone."""
        ...
