"""Imagined devices: relatives of the reference devices, which pay other prices for operations."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hwnas.predictors.boosting import Floats

DEVICES = 2500
NEAR, FAR = 0.3, 1.0
"""Spread of a log price around that of a relative, and around the average of all references."""

FAR_SHARE = 0.3
FREEDOM = 3.0
"""Degrees of freedom of the spread near a relative: most imagined devices resemble it, some do
in nothing."""

PSEUDO_DEVICES = 3.0
"""How many references the default spread counts for beside the empirical one."""

OWN_ACCOUNT = 0.75
"""Share of imagined devices that pay for what their relative pays for; the others for any
mixture of two accounts."""

LEAST_SHARE = 0.01
"""Of the average latency: no operation is taken for cheaper, so that its price has a logarithm."""


class ImaginedDevices:
    """Devices as a new one might be: a base and a price for each operation, none negative.

    Each reference's latencies are resolved into prices by non-negative least squares of the
    relative error (Lawson and Hanson, 1974). The prices of an imagined device are drawn near
    those of one reference, with the heavy tails of Student's t, or from the distribution of all
    references, whose covariance is shrunk to a default because they are few (Ledoit and Wolf,
    2004). So the references are draws of the distribution that a new device's prices come from,
    as tasks are in hierarchical Bayes. What the samples leave of them is importance sampling
    (Rubin, 1987), in :mod:`hwnas.predictors.mixture`.

    Args:
        logs: Log latencies on the references, ``(n, references)``, at least one.
        accounts: What a device may pay for: at least one matrix ``(n, k)`` of counts, none
            negative, of the same k operations, such as all that are there, or all that lead to
            the output.
        seed: Seed of the draws.

    ``count`` is their number. Candidates of equal counts cost every device the same:
    ``examples`` holds the index of one of each kind, ``(kinds,)``, and ``kinds`` says of which
    kind each candidate is, ``(n,)``.
    """

    def __init__(self, logs: Floats, accounts: Sequence[Floats], seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        ones = np.ones((len(accounts[0]), 1))
        self._designs = [np.concatenate([ones, account], axis=1) for account in accounts]
        usual = np.maximum(np.mean([design.mean(axis=0) for design in self._designs], axis=0), 1e-9)
        found = [self._resolved(column) for column in logs.T]
        own = np.array([account for _, account in found])
        # The scale is the new device's own, so that of an imagined one plays no part.
        shares = np.array([prices for prices, _ in found])
        shares = shares / (shares @ usual)[:, None]
        prices = np.log(np.maximum(shares, LEAST_SHARE / usual))
        width = prices.shape[1]
        middle = prices.mean(axis=0)
        apart = prices - middle
        covariance = (apart.T @ apart + PSEUDO_DEVICES * FAR**2 * np.eye(width)) / (
            len(prices) - 1 + PSEUDO_DEVICES
        )
        relative = rng.integers(len(prices), size=DEVICES)
        tail = np.sqrt(FREEDOM / rng.chisquare(FREEDOM, DEVICES))[:, None]
        drawn = prices[relative] + NEAR * tail * rng.standard_normal((DEVICES, width))
        far = rng.random(DEVICES) < FAR_SHARE
        drawn[far] = rng.multivariate_normal(middle, covariance, int(far.sum()))
        self._prices = np.exp(np.clip(drawn, -12.0, 8.0))
        mixed = rng.dirichlet(np.ones(len(accounts)), DEVICES)
        same = rng.random(DEVICES) < OWN_ACCOUNT
        self._accounts = np.where(same[:, None], np.eye(len(accounts))[own[relative]], mixed)
        self.count = DEVICES
        _, first, kinds = np.unique(
            np.concatenate(accounts, axis=1), axis=0, return_index=True, return_inverse=True
        )
        self.examples = first.astype(np.int64)
        self.kinds = kinds.reshape(-1).astype(np.int64)

    def _resolved(self, logs: Floats) -> tuple[Floats, int]:
        """The prices of one reference, ``(1 + k,)``, and the account that explains it best."""
        from scipy.optimize import nnls

        latency = np.exp(logs - logs.mean())
        found: list[tuple[float, Floats, int]] = []
        for number, design in enumerate(self._designs):
            # The triangle has the same least squares as all rows.
            rows = np.concatenate([design, latency[:, None]], axis=1) / latency[:, None]
            triangle: Floats = np.linalg.qr(rows).R
            prices, _ = nnls(triangle[:, :-1], triangle[:, -1])
            left = logs - np.log(np.maximum(design @ prices, 1e-3))
            error = float(np.abs(left - np.median(left)).mean())
            found.append((error, prices, number))
        _, prices, number = min(found, key=lambda item: item[0])
        return prices, number

    def logs(
        self, rows: NDArray[np.int64] | slice, devices: NDArray[np.int64] | slice = slice(None)
    ) -> Floats:
        """Log latencies up to a constant of each device, ``(rows, devices)``."""
        prices, accounts = self._prices[devices], self._accounts[devices]
        costs = sum(
            (design[rows] @ prices.T) * accounts[:, number]
            for number, design in enumerate(self._designs)
        )
        return np.asarray(np.log(costs))
