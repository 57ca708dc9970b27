"""Searches on a table: architectures whose accuracy and latency somebody has measured."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from hwnas.errors import RequestError
from hwnas.search.constraint import Floats, Genotype, LatencyConstraint, SlotCost
from hwnas.search.strategy import Strategy
from hwnas.spaces.space import Choice, Genotypes, SearchSpace, Value


def table_space(name: str, values: Sequence[Sequence[Value]]) -> SearchSpace:
    """A space of choices alone: it can be searched, but not built.

    Args:
        name: Its name.
        values: The values of each choice.
    """
    return SearchSpace(
        name,
        [Choice(f"choice{index + 1}", tuple(own)) for index, own in enumerate(values)],
        [],
        input_channels=1,
        image_sizes=(1,),
        resolution=None,
        classes=2,
    )


class PartialSpace(SearchSpace):
    """A space of which a table has a part: samples are rows of the table.

    Args:
        base: The whole space.
        genotypes: The table's, ``(n, choices)``.
    """

    def __init__(self, base: SearchSpace, genotypes: Genotypes) -> None:
        self._genotypes = genotypes
        super().__init__(
            base.name,
            base.choices,
            base.slots,
            input_channels=base.input_channels,
            image_sizes=base.image_sizes,
            resolution=base.resolution,
            classes=base.classes,
            definition=base.definition,
        )

    @property
    def size(self) -> int:
        """Number of architectures in the table."""
        return len(self._genotypes)

    def sample(
        self, rng: np.random.Generator, count: int, *, over: str = "architectures"
    ) -> Genotypes:
        """Rows of the table, uniform, ``(count, choices)``."""
        return self._genotypes[rng.integers(len(self._genotypes), size=count)]


class ArchitectureTable:
    """Measured architectures of a space.

    Args:
        space: The space of the genotypes; what is not in the table counts as infeasible.
        genotypes: ``(n, choices)``, canonical.
        accuracy: ``(n,)``, higher is better; NaN where a training failed.
        latency_ms: ``(n,)``, or ``None`` where latency does not matter.
        judged: What is reported of an architecture that a search picks by
            ``accuracy``, ``(n,)``: its test accuracy, say. ``accuracy`` by default.

    Raises:
        RequestError: A genotype stands twice, or there is no accuracy.
    """

    def __init__(
        self,
        space: SearchSpace,
        genotypes: Genotypes,
        accuracy: Floats,
        latency_ms: Floats | None = None,
        judged: Floats | None = None,
    ) -> None:
        self.space = space if len(genotypes) >= space.size else PartialSpace(space, genotypes)
        self.rows = {tuple(row): index for index, row in enumerate(genotypes.tolist())}
        if len(self.rows) < len(genotypes):
            raise RequestError(
                f"the table has {len(genotypes)} rows but {len(self.rows)} different "
                "architectures; each must stand once"
            )
        if not np.isfinite(accuracy).any():
            raise RequestError("the table has no accuracy in any row")
        self.accuracy = accuracy
        self.latency_ms = np.zeros(len(genotypes)) if latency_ms is None else latency_ms
        self.judged = accuracy if judged is None else judged

    def constraint(self, limit_ms: float | None) -> LatencyConstraint:
        """The limit, or one that everything in the table keeps."""
        most = 1.0 + float(self.latency_ms.max())
        return LatencyConstraint(TablePredictor(self), most if limit_ms is None else limit_ms)

    def within(self, limit_ms: float | None) -> "np.ndarray":
        """Which rows have an accuracy and keep the limit, ``(n,)``."""
        known = np.isfinite(self.accuracy) & np.isfinite(self.judged)
        return known if limit_ms is None else known & (self.latency_ms <= limit_ms)


class TablePredictor:
    """Latency looked up: exact, so its bounds are the latency itself. What is not there is ∞.

    Args:
        table: The table.
    """

    def __init__(self, table: ArchitectureTable) -> None:
        # Genotypes as numbers in mixed radix: a strategy may price thousands per query.
        cardinalities = table.space.cardinalities.tolist()
        self._radix = np.array(
            [math.prod(cardinalities[i + 1 :]) for i in range(len(cardinalities))],
            dtype=np.int64 if math.prod(cardinalities) < 2**63 else object,
        )
        codes = np.array(list(table.rows), dtype=np.int64) @ self._radix
        order = codes.argsort(kind="stable")
        self._codes, self._latency_ms = codes[order], table.latency_ms[order]

    def predict_ms(self, genotypes: Genotypes) -> Floats:
        """Latencies ``(n,)``."""
        codes = genotypes @ self._radix
        place = np.minimum(np.searchsorted(self._codes, codes), len(self._codes) - 1)
        return np.where(self._codes[place] == codes, self._latency_ms[place], math.inf)

    def bounds_ms(self, genotypes: Genotypes, quantile: float) -> tuple[Floats, Floats]:
        """The latency twice."""
        latency = self.predict_ms(genotypes)
        return latency, latency

    def table_ms(self, genotypes: Genotypes) -> Floats:
        """No part of the latency is additive here."""
        return np.zeros(len(genotypes))

    def slot_costs_ms(self) -> tuple[float, Sequence[SlotCost]]:
        """No part of the latency is additive here."""
        return 0.0, ()


@dataclass(frozen=True)
class TableRun:
    """One search on a table.

    Args:
        picked: By number of queries, from 1 on: what is reported of the architecture that
            was the most accurate so far; NaN before the first.
        queries: Architectures that were looked up.
        best: The most accurate of them.
    """

    picked: Floats
    queries: int
    best: Genotype | None


def run_on_table(
    strategy: Strategy,
    table: ArchitectureTable,
    budget: int,
    *,
    on_query: Callable[[int], None] | None = None,
) -> TableRun:
    """Let a strategy look up architectures one at a time.

    Args:
        strategy: Who proposes.
        table: What is known.
        budget: Architectures that may be looked up.
        on_query: Called with the number of queries after each.
    """
    picked: list[float] = []
    best, highest, reported = None, -math.inf, math.nan
    while len(picked) < budget:
        asked = strategy.ask(1)
        if not asked:
            break
        for genotype in asked:
            row = table.rows.get(genotype)
            value = math.nan if row is None else float(table.accuracy[row])
            if value > highest and row is not None:
                best, highest, reported = genotype, value, float(table.judged[row])
            picked.append(reported)
            strategy.tell(genotype, value)
            if on_query is not None:
                on_query(len(picked))
    return TableRun(np.array(picked[:budget]), min(len(picked), budget), best)
