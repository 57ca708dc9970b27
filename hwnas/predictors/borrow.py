"""A predictor for a device of which little is measured, with what another device knows."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from hwnas.errors import ProfileError
from hwnas.predictors.baselines import network_kernels
from hwnas.predictors.features import bag_features
from hwnas.predictors.latency import LEAST_NETWORKS, Floats, LatencyPredictor
from hwnas.predictors.learning_curve import more_samples
from hwnas.predictors.parts import LEAST_MS, part_prices
from hwnas.predictors.residual import Residual
from hwnas.profiles import NetworkBag, ProfiledBags, Records

LEAST_PARTS = 5
"""Parts measured on both devices from which the factor between them is taken; with fewer it
is that between networks."""

HALVES = 10


@dataclass(frozen=True)
class Source:
    """A device that is borrowed from.

    Args:
        records: Its profile's records.
        bags: Its blocks' and networks' kernels, as the borrowing device fuses them.
    """

    records: Records
    bags: ProfiledBags


@dataclass(frozen=True)
class Borrowed:
    """A predictor that borrows, and how good it is.

    Args:
        predictor: Priced and saved as any other.
        source: The name of the device that was borrowed from.
        factor: What its parts' prices were multiplied by.
        keeps_residual: Whether what sums miss is the other device's, rescaled; else it is
            learned from the networks measured here alone.
        cross_validated_error_pct: Mean error on the networks, each predicted without it.
        networks: How many were fitted on.
        halved_error_pct: The same with half of the networks, for :meth:`needs_more`;
            ``None`` where that would be too few.
    """

    predictor: LatencyPredictor
    source: str
    factor: float
    keeps_residual: bool
    cross_validated_error_pct: float
    networks: int
    halved_error_pct: float | None

    def needs_more(self, target_pct: float) -> int | None:
        """About how many more networks the error needs to fall to a target.

        Returns:
            ``None`` where it is low enough.
        """
        return more_samples(
            self.networks, self.cross_validated_error_pct, self.halved_error_pct, target_pct
        )


def borrow(
    records: Records, bags: ProfiledBags, sources: Mapping[str, Source], seed: int = 0
) -> Borrowed:
    """Fit on few networks, with the parts and the residual of the best of several devices.

    The prices of a source's parts are multiplied by one factor; a part that is measured here
    costs what it costs here; trees are grown on both. What sums of parts miss is the
    source's residual with a scale of this device, or one of this device alone, by
    cross-validation, which also says which source is the best. Networks that are judged are
    not looked at.

    Args:
        records: The device's own records.
        bags: Its blocks' and networks' kernels.
        sources: Devices to borrow from, by name.
        seed: Seed of the folds and of the trees.

    Raises:
        ProfileError: No source, or too few networks.
    """
    networks = [item for item in bags.networks if not item.judged]
    if not sources:
        raise ProfileError("no device to borrow from is given")
    if len(networks) < LEAST_NETWORKS:
        raise ProfileError(
            f"{len(networks)} networks to fit on are measured, at least {LEAST_NETWORKS} are "
            "needed even where another device helps; run 'hwnas profile' with a larger budget"
        )
    found = [
        _Attempt(records, bags, networks, name, source, seed).result()
        for name, source in sources.items()
    ]
    return min(found, key=lambda item: item.cross_validated_error_pct)


class _Attempt:
    """Borrowing from one source."""

    def __init__(
        self,
        records: Records,
        bags: ProfiledBags,
        networks: list[NetworkBag],
        name: str,
        source: Source,
        seed: int,
    ) -> None:
        self._name, self._seed, self._networks = name, seed, networks
        self._source_networks = [item for item in source.bags.networks if not item.judged]
        self._bags = ProfiledBags(
            {**source.bags.block_kernels, **bags.block_kernels}, list(bags.networks)
        )
        self._latency_ms = np.array([item.measurement.latency_ms for item in networks])
        source_call_ms, lent = part_prices(source.records)
        known = "call" in records.measurements()
        own_call_ms, own = part_prices(records) if known else (None, {})
        both = [np.log(own[key] / lent[key]) for key in own if key in lent]
        # Of networks the factor is a scale alone, which each fold finds again.
        self._factor = (
            float(np.exp(np.median(both)))
            if len(both) >= LEAST_PARTS
            else self._between_networks(source_call_ms, lent)
        )
        self._predictor = LatencyPredictor(seed)
        self._predictor.fitted_on_ = records.digest()
        self._fit_parts(
            source_call_ms * self._factor if own_call_ms is None else own_call_ms,
            {key: max(LEAST_MS, value * self._factor) for key, value in lent.items()} | own,
        )

    def _between_networks(self, call_ms: float, prices: Mapping[str, float]) -> float:
        self._predictor = LatencyPredictor(self._seed)
        self._fit_parts(call_ms, prices)
        parts_ms, _ = self._predictor.network_sums(self._networks, self._bags)
        return float(np.exp(np.median(np.log(self._latency_ms / (call_ms + parts_ms)))))

    def _fit_parts(self, call_ms: float, prices: Mapping[str, float]) -> None:
        if not any(key.startswith("kernel:") for key in prices):
            raise ProfileError(
                f"device '{self._name}' has no kernel measured to borrow; "
                f"run 'hwnas profile {self._name}' with a larger budget"
            )
        self._predictor.fit_parts(call_ms, prices, self._bags.block_kernels)

    def result(self) -> Borrowed:
        """The predictor with the better residual."""
        call_ms = self._predictor.call_ms_
        parts_ms, sums = self._predictor.network_sums(self._networks, self._bags)
        lent_parts_ms, lent_sums = self._predictor.network_sums(self._source_networks, self._bags)
        lent_ms = self._factor * np.array(
            [item.measurement.latency_ms for item in self._source_networks]
        )
        features, lent_features = bag_features(sums), bag_features(lent_sums)

        def fitted(own_parts: Floats, lent_parts: Floats) -> tuple[bool, Residual, float | None]:
            return self._residual(
                features,
                np.log(self._latency_ms / (call_ms + own_parts)),
                lent_features,
                np.log(lent_ms / (call_ms + lent_parts)),
            )

        keeps, residual, halved = fitted(parts_ms, lent_parts_ms)
        self._predictor.network_residual_ = residual
        self._predictor.model_residual_ = fitted(sums[:, 0], lent_sums[:, 0])[1]
        self._predictor.fit_doubt(
            [network_kernels(item, self._bags) for item in self._networks],
            [item.space for item in self._networks],
        )
        return Borrowed(
            self._predictor,
            self._name,
            self._factor,
            keeps,
            _error_pct(residual.out_of_fold_),
            len(self._networks),
            halved,
        )

    def _residual(
        self, features: Floats, logs: Floats, lent_features: Floats, lent_logs: Floats
    ) -> tuple[bool, Residual, float | None]:
        """The better of a kept and a new residual, and its error with half the networks."""
        count = len(logs)

        ways: dict[bool, Callable[[Floats, Floats], Residual]] = {}
        if len(lent_logs):
            # Before a new one: among equals what more networks say.
            ways[True] = Residual(self._seed).fit(lent_features, lent_logs).rescaled
        ways[False] = lambda rows, values: Residual(self._seed).fit(rows, values)
        found = {keeps: way(features, logs) for keeps, way in ways.items()}
        keeps = min(found, key=lambda key: _error_pct(found[key].out_of_fold_))
        half = (count + 1) // 2
        halved = None
        if half >= 3:
            rng = np.random.default_rng(self._seed)
            draws = [rng.choice(count, half, replace=False) for _ in range(HALVES)]
            halved = float(
                np.mean([_error_pct(ways[keeps](features[i], logs[i]).out_of_fold_) for i in draws])
            )
        return keeps, found[keeps], halved


def _error_pct(errors: Floats) -> float:
    return float(100 * np.abs(np.expm1(errors)).mean())
