"""The latency predictor: table, kernel model, residuals, bounds."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas.errors import ProfileError
from hwnas.files import write_text
from hwnas.kernels import Kernel
from hwnas.predictors.bag_price import price_bag
from hwnas.predictors.baselines import network_kernels
from hwnas.predictors.conformal import highest_level
from hwnas.predictors.doubt import Doubt, unsure_ms
from hwnas.predictors.features import SUMS, bag_features, bag_sums
from hwnas.predictors.kernel_model import KernelPrices
from hwnas.predictors.parts import LEAST_MS, part_prices
from hwnas.predictors.prediction import Prediction
from hwnas.predictors.residual import Residual
from hwnas.predictors.saved import SCHEMA, read_saved
from hwnas.profiles import NetworkBag, ProfiledBags, Records

LEAST_NETWORKS = 5
Floats = NDArray[np.float64]
Bag = Mapping[Kernel, int]


class LatencyPredictor:
    """Prices networks from their parts, and corrects the sum to whole networks.

    A block costs what it was measured to cost; one that was not measured costs
    the sum of its kernels, corrected by what such sums miss of measured blocks.
    A network costs the call plus the sum of its blocks, corrected by what such
    sums miss of measured networks.

    Args:
        seed: Seed of the folds and of the trees.

    Learned: ``call_ms_``, ``kernels_``, ``blocks_ms_``, ``block_residual_``,
    ``network_residual_`` (networks as sums of blocks), ``model_residual_``
    (networks as sums of kernels, for ONNX files), ``doubt_`` (what prices that are
    not measured add), ``fitted_on_`` (digest of the records that it was fitted on, ``None``
    in files that do not say).
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def fit(self, records: Records, bags: ProfiledBags) -> "LatencyPredictor":
        """Fit on a profile. Networks that are judged are not looked at.

        Args:
            records: The profile's records.
            bags: Its blocks' and networks' kernels.

        Raises:
            ProfileError: Too little was measured.
        """
        _to_fit(bags)
        self.fitted_on_: str | None = records.digest()
        call_ms, prices = part_prices(records)
        if not any(key.startswith("kernel:") for key in prices):
            raise ProfileError("no kernel is measured; run 'hwnas profile' with a larger budget")
        return self.fit_parts(call_ms, prices, bags.block_kernels).fit_networks(bags)

    def fit_parts(
        self, call_ms: float, prices_ms: Mapping[str, float], block_kernels: Mapping[str, Bag]
    ) -> "LatencyPredictor":
        """Fit kernels, blocks, and what sums of kernels miss of blocks.

        Args:
            call_ms: What a call costs.
            prices_ms: Prices by ``kernel:KEY`` and ``block:KEY``; at least one kernel's.
            block_kernels: The kernels of blocks, by key.
        """
        split = {
            kind: {k.removeprefix(kind): v for k, v in prices_ms.items() if k.startswith(kind)}
            for kind in ("kernel:", "block:")
        }
        self.call_ms_ = call_ms
        self.kernels_ = KernelPrices().fit(split["kernel:"])
        self.blocks_ms_ = split["block:"]
        measured = [key for key in self.blocks_ms_ if key in block_kernels]
        sums = self._sums([block_kernels[key] for key in measured])
        self.block_residual_ = Residual(self.seed).fit(
            bag_features(sums),
            np.log(np.array([self.blocks_ms_[key] for key in measured]) / sums[:, 0])
            if measured
            else np.zeros(0),
        )
        return self

    def fit_networks(self, bags: ProfiledBags) -> "LatencyPredictor":
        """Fit again what sums miss of whole networks, with the prices of parts as they are.

        Args:
            bags: The networks; those that are judged are not looked at.

        Raises:
            ProfileError: Fewer than five networks are left.
        """
        networks = _to_fit(bags)
        latencies = np.array([item.measurement.latency_ms for item in networks])
        spaces = [item.space for item in networks]
        self.network_residual_ = Residual(self.seed).fit(
            *self._log_ratios(*self.network_sums(networks, bags), latencies), spaces
        )
        kernel_bags = [network_kernels(item, bags) for item in networks]
        kernel_sums = self._sums(kernel_bags)
        self.model_residual_ = Residual(self.seed).fit(
            *self._log_ratios(kernel_sums[:, 0], kernel_sums, latencies), spaces
        )
        return self.fit_doubt(kernel_bags, spaces)

    def fit_doubt(self, kernel_bags: Sequence[Bag], spaces: Sequence[str]) -> "LatencyPredictor":
        """Fit what prices that are not measured add, on the kernels of networks of spaces."""
        self.doubt_ = Doubt().fit(self.kernels_, kernel_bags, spaces)
        return self

    def _sums(self, kernel_bags: Sequence[Bag]) -> Floats:
        prices = self.kernels_.prices_ms({kernel for bag in kernel_bags for kernel in bag})
        if not kernel_bags:
            return np.zeros((0, len(SUMS)))
        return np.stack([bag_sums(bag, prices) for bag in kernel_bags])

    def _log_ratios(
        self, parts_ms: Floats, sums: Floats, latency_ms: Floats
    ) -> tuple[Floats, Floats]:
        return bag_features(sums), np.log(latency_ms / (self.call_ms_ + parts_ms))

    def block_prices(
        self, keys: Sequence[str], kernel_bags: Sequence[Bag]
    ) -> tuple[Floats, Floats]:
        """Prices of blocks, ``(n,)`` ms, and their sums over kernels, ``(n, len(SUMS))``."""
        sums = self._sums(kernel_bags)
        if not len(keys):
            return np.zeros(0), sums
        corrected = sums[:, 0] * np.exp(self.block_residual_.predict(bag_features(sums)))
        prices = [
            self.blocks_ms_.get(key, max(LEAST_MS, float(value)))
            for key, value in zip(keys, corrected, strict=True)
        ]
        return np.array(prices), sums

    def network_sums(
        self, networks: Sequence[NetworkBag], bags: ProfiledBags
    ) -> tuple[Floats, Floats]:
        """Sums over blocks ``(n,)`` ms, and over kernels ``(n, len(SUMS))``, of networks."""
        keys, counts = _block_counts(networks)
        prices, sums = self.block_prices(keys, [bags.block_kernels[key] for key in keys])
        return counts @ prices, counts @ sums

    def block_unsure_ms(self, keys: Sequence[str], kernel_bags: Sequence[Bag]) -> Floats:
        """What of blocks' prices is not measured, ms by source, ``(n, len(ESTIMATES))``."""
        found = unsure_ms(self.kernels_, kernel_bags)
        found[[key in self.blocks_ms_ for key in keys]] = 0.0
        return found

    def network_unsure_ms(self, networks: Sequence[NetworkBag], bags: ProfiledBags) -> Floats:
        """What of networks' sums of blocks is not measured, ms, ``(n, len(ESTIMATES))``."""
        keys, counts = _block_counts(networks)
        found: Floats = counts @ self.block_unsure_ms(
            keys, [bags.block_kernels[key] for key in keys]
        )
        return found

    def log_bounds(
        self,
        parts_ms: Floats,
        sums: Floats,
        unsure: Floats,
        quantile: float,
        residual: Residual | None = None,
    ) -> tuple[Floats, Floats]:
        """Logarithms of measured over predicted that networks stay above, and below.

        Args:
            parts_ms: Sums of blocks, ``(n,)``.
            sums: Sums over kernels, ``(n, len(SUMS))``.
            unsure: What of the blocks' prices is not measured, ms, ``(n, len(ESTIMATES))``.
            quantile: What either bound holds.
            residual: What corrects the sums; that of networks made of blocks where not given.
        """
        low, high = (residual or self.network_residual_).bounds(bag_features(sums), quantile)
        shares = unsure / np.maximum(parts_ms, LEAST_MS)[:, None]
        below, above = self.doubt_.widening(shares, quantile, self.kernels_)
        return low - below, high + above

    def network_log_bounds(
        self, networks: Sequence[NetworkBag], bags: ProfiledBags, quantile: float
    ) -> tuple[Floats, Floats]:
        """:meth:`log_bounds` of networks made of blocks."""
        parts_ms, sums = self.network_sums(networks, bags)
        return self.log_bounds(parts_ms, sums, self.network_unsure_ms(networks, bags), quantile)

    def predict_sums(self, parts_ms: Floats, sums: Floats) -> Floats:
        """Latencies ``(n,)`` of networks from the sums of their blocks and kernels."""
        correction = self.network_residual_.predict(bag_features(sums))
        latencies: Floats = (self.call_ms_ + parts_ms) * np.exp(correction)
        return latencies

    def predict_networks(self, networks: Sequence[NetworkBag], bags: ProfiledBags) -> Floats:
        """Latencies ``(n,)`` of networks made of blocks."""
        return self.predict_sums(*self.network_sums(networks, bags))

    def predict_bag(self, bag: Bag, not_covered: int = 0, level: float = 0.9) -> Prediction:
        """The latency of any bag of kernels, such as that of an ONNX file.

        Args:
            bag: Kernels with how often they occur.
            not_covered: Operators of the model that are in no kernel and so have no price.
                With any, the upper end is infinite and the lower end that of the kernels.
            level: Level of the interval, above 0 and below 1; where the measured networks do
                not tell one so high, the highest that they tell (``Prediction.level``).

        Raises:
            SpecError: The bag, the count or the level is none.
            ProfileError: This is not fitted, or gives no finite latency.
        """
        self.require_fitted()
        return price_bag(self, bag, not_covered, level)

    @property
    def highest_level(self) -> float:
        """The highest level of an interval that the measured networks tell, below 1."""
        self.require_fitted()
        return highest_level(len(self.model_residual_.out_of_fold_))

    def require_fitted(self) -> None:
        """Refuse to go on where nothing was learned.

        Raises:
            ProfileError: This is not fitted.
        """
        if not hasattr(self, "doubt_"):
            raise ProfileError(
                "this LatencyPredictor is not fitted: call fit, or LatencyPredictor.load(path)"
            )

    def to_json(self) -> dict[str, Any]:
        """What was learned, as plain values.

        Raises:
            ProfileError: This is not fitted.
        """
        self.require_fitted()
        return {
            "schema": SCHEMA,
            "fitted_on": self.fitted_on_,
            "call_ms": self.call_ms_,
            "kernels": self.kernels_.to_json(),
            "blocks_ms": self.blocks_ms_,
            "block_residual": self.block_residual_.to_json(),
            "network_residual": self.network_residual_.to_json(),
            "model_residual": self.model_residual_.to_json(),
            "doubt": self.doubt_.to_json(),
        }

    def save(self, path: Path) -> None:
        """Write what was learned as JSON.

        Raises:
            StorageError: The disk is full or not writable.
        """
        write_text(path, json.dumps(self.to_json(), separators=(",", ":"), sort_keys=True) + "\n")

    @classmethod
    def load(cls, path: Path | str) -> "LatencyPredictor":
        """What :meth:`save` wrote; its predictions are the same to the bit.

        Raises:
            ProfileError: The file is missing, broken or of another schema.
            SpecError: That is no path.
        """
        value = read_saved(path)
        predictor = cls()
        predictor.fitted_on_ = value.get("fitted_on")
        predictor.call_ms_ = float(value["call_ms"])
        predictor.kernels_ = KernelPrices.from_json(value["kernels"])
        predictor.blocks_ms_ = dict(value["blocks_ms"])
        predictor.block_residual_ = Residual.from_json(value["block_residual"])
        predictor.network_residual_ = Residual.from_json(value["network_residual"])
        predictor.model_residual_ = Residual.from_json(value["model_residual"])
        predictor.doubt_ = Doubt.from_json(value["doubt"])
        return predictor


def _block_counts(networks: Sequence[NetworkBag]) -> tuple[list[str], Floats]:
    """The blocks of networks, and how often each occurs in each, ``(n, blocks)``."""
    keys = sorted({key for item in networks for key in item.blocks})
    return keys, np.array([[item.blocks[key] for key in keys] for item in networks], dtype=float)


def _to_fit(bags: ProfiledBags) -> list[NetworkBag]:
    """The networks that are not judged, of which there must be enough."""
    networks = [item for item in bags.networks if not item.judged]
    if len(networks) < LEAST_NETWORKS:
        raise ProfileError(
            f"{len(networks)} networks to fit on are measured, at least {LEAST_NETWORKS} are "
            "needed; run 'hwnas profile' with a larger budget"
        )
    return networks
