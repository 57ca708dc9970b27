"""What is known of candidates before a new device is measured, as terms of a covariance."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwnas.errors import RequestError
from hwnas.predictors.imagined import ImaginedDevices

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

CLIP = 5.0
"""Reference logs are clipped so many robust standard deviations from their median: a
near-zero reading of one candidate is a fault of the measurement."""


class Candidates:
    """What is known of all candidates before the new device is measured.

    Args:
        references: Log latencies on reference devices, ``(n, references)``.
        features: Architecture features, matrices ``(n, k)``: first what is likely to matter,
            such as counts, then details. What a matrix counts for is not its width.
        costs: What a device may pay for, matrices ``(n, k)`` of the same k counts, none
            negative; several where devices differ in what they run. Latency is taken for a
            sum of them, so settings that are names or factors of each other are none.

    Raises:
        RequestError: Neither is given, their lengths differ, a value is not finite, or a
            cost is negative.
    """

    def __init__(
        self,
        references: ArrayLike | None = None,
        features: Sequence[ArrayLike] = (),
        costs: Sequence[ArrayLike] = (),
    ) -> None:
        self.references = None if references is None else np.asarray(references, dtype=float)
        parts = [np.asarray(part, dtype=float) for part in features]
        accounts = [np.asarray(part, dtype=float) for part in costs]
        given = [*parts, *accounts, *([] if self.references is None else [self.references])]
        if not given:
            raise RequestError("give log latencies of reference devices, or features, or both")
        lengths = sorted({len(part) for part in given})
        if len(lengths) > 1 or any(part.ndim != 2 for part in given):
            raise RequestError(
                "references and features are (n, columns) with the same n; received shapes "
                + ", ".join(str(part.shape) for part in given)
            )
        if not all(np.isfinite(part).all() for part in given):
            raise RequestError("references and features must be finite; remove or fill the gaps")
        if any((part < 0).any() for part in accounts) or len({p.shape[1] for p in accounts}) > 1:
            raise RequestError("costs are matrices of the same columns, with no negative value")
        self.count = lengths[0]
        self.imagined: ImaginedDevices | None = None
        self._features = [_unit(part) for part in parts if part.shape[1]]
        if self.references is not None and self.references.shape[1]:
            clipped = _unit(_clipped(self.references))
            self._devices = clipped
            self._shared = _unit(clipped.mean(axis=1, keepdims=True))
            if accounts:
                self.imagined = ImaginedDevices(_clipped(self.references), accounts)
            # What the references have in common, at the slope that is usual for them.
            slopes = (_centred(self.references) * self._shared).mean(axis=0)
            self.expected = float(np.median(slopes)) * self._shared[:, 0]
        else:
            self.expected = np.zeros(self.count)
            self._devices = np.zeros((self.count, 0))
            self._shared = np.zeros((self.count, 0))

    def terms(self, rows: Indices | slice, columns: Indices) -> dict[str, Floats]:
        """The covariance's terms between two sets of candidates, each ``(rows, columns)``."""
        found = {
            "shared": self._shared[rows] @ self._shared[columns].T,
            "devices": _line(self._devices, rows, columns),
            "curved": _smooth(self._devices, rows, columns),
        }
        zero = np.zeros_like(found["shared"])
        lines = [_line(part, rows, columns) for part in self._features]
        found["features"] = lines[0] if lines else zero
        found["details"] = sum(lines[1:], zero) / max(1, len(lines) - 1)
        return found

    def variances(self) -> dict[str, Floats]:
        """The terms of each candidate with itself, each ``(n,)``."""
        zero = np.zeros(self.count)
        lines = [(part**2).mean(axis=1) for part in self._features]
        devices = self._devices
        return {
            "shared": (self._shared**2).sum(axis=1),
            "devices": (devices**2).sum(axis=1) / max(1, devices.shape[1]),
            "curved": zero + bool(devices.shape[1]),
            "features": lines[0] if lines else zero,
            "details": sum(lines[1:], zero) / max(1, len(lines) - 1),
        }


def _centred(logs: Floats) -> Floats:
    clipped = _clipped(logs)
    centred: Floats = clipped - clipped.mean(axis=0)
    return centred


def _unit(values: Floats) -> Floats:
    spread = values.std(axis=0)
    scaled: Floats = (values - values.mean(axis=0)) / np.where(spread > 1e-9, spread, 1.0)
    return scaled


def _clipped(logs: Floats) -> Floats:
    middle = np.median(logs, axis=0)
    reach = CLIP * 1.4826 * np.median(np.abs(logs - middle), axis=0)
    # Where over half of the values are one, the others are not outliers.
    reach = np.where(reach > 1e-9, reach, np.inf)
    clipped: Floats = np.clip(logs, middle - reach, middle + reach)
    return clipped


def _line(values: Floats, rows: Indices | slice, columns: Indices) -> Floats:
    product: Floats = values[rows] @ values[columns].T / max(1, values.shape[1])
    return product


def _smooth(values: Floats, rows: Indices | slice, columns: Indices) -> Floats:
    """A squared exponential whose length is the average distance of one feature."""
    one, other = values[rows], values[columns]
    width = values.shape[1]
    if not width:
        return np.zeros((len(one), len(other)))
    squares = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1)[None]
    found: Floats = np.exp(-np.maximum(squares - 2 * one @ other.T, 0.0) / (2 * width))
    return found
