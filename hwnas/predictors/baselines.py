"""What everybody can say without measuring parts: lines through counts, and the roofline."""

from collections.abc import Iterable, Mapping

import numpy as np

from hwnas.kernels import Kernel
from hwnas.predictors.boosting import Floats
from hwnas.predictors.kernel_model import KernelPrices
from hwnas.predictors.metrics import Accuracy, accuracy
from hwnas.profiles import NetworkBag, ProfiledBags


def network_kernels(network: NetworkBag, bags: ProfiledBags) -> dict[Kernel, int]:
    """The kernels of a measured network, with how often each occurs."""
    total: dict[Kernel, int] = {}
    for key, number in network.blocks.items():
        for kernel, count in bags.block_kernels[key].items():
            total[kernel] = total.get(kernel, 0) + number * count
    return total


def counts(networks: Iterable[NetworkBag], bags: ProfiledBags) -> Floats:
    """MACs and parameters of networks, ``(n, 2)``.

    Parameters are the elements of the constants that kernels read.
    """
    rows = [
        [
            sum(count * kernel.macs for kernel, count in bag.items()),
            sum(count * kernel.weight_elements for kernel, count in bag.items()),
        ]
        for bag in (network_kernels(item, bags) for item in networks)
    ]
    return np.array(rows, dtype=float).reshape(-1, 2)


def baselines(
    prices: KernelPrices,
    fitted: list[NetworkBag],
    judged: list[NetworkBag],
    bags: ProfiledBags,
) -> Mapping[str, Accuracy]:
    """Accuracy of the baselines on the judged networks.

    Lines, by least squares on the networks that the predictor was fitted on:
    ``flops``, ``parameters``, ``flops_parameters`` (both). ``roofline``: the sum of
    the kernels' rooflines (Williams et al., 2009), scaled on the same networks.
    """
    known = np.array([item.measurement.latency_ms for item in fitted])
    measured = np.array([item.measurement.latency_ms for item in judged])
    seen, asked = counts(fitted, bags), counts(judged, bags)
    found = {
        "flops": _line(seen[:, :1], known, asked[:, :1]),
        "parameters": _line(seen[:, 1:], known, asked[:, 1:]),
        "flops_parameters": _line(seen, known, asked),
        "roofline": _scaled(_roofline(prices, fitted, bags), known)
        * _roofline(prices, judged, bags),
    }
    return {name: accuracy(values, measured) for name, values in found.items()}


def _line(seen: Floats, known_ms: Floats, asked: Floats) -> Floats:
    scale = np.maximum(seen.max(axis=0, initial=1.0), 1.0)
    design = np.concatenate([seen / scale, np.ones((len(seen), 1))], axis=1)
    weights = np.linalg.lstsq(design, known_ms, rcond=None)[0]
    values: Floats = np.concatenate([asked / scale, np.ones((len(asked), 1))], axis=1) @ weights
    return values


def _roofline(prices: KernelPrices, networks: Iterable[NetworkBag], bags: ProfiledBags) -> Floats:
    return np.array(
        [
            sum(
                count * prices.roofline_ms(kernel)
                for kernel, count in network_kernels(item, bags).items()
            )
            for item in networks
        ]
    )


def _scaled(sums_ms: Floats, known_ms: Floats) -> float:
    return float(np.median(known_ms / sums_ms))
