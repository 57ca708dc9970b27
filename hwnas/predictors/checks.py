"""What callers hand in, checked: levels, bags, genotypes."""

import math
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

from hwnas.errors import SpecError
from hwnas.kernels import Kernel

MOST = 10**9
"""Kernels of one kind in a bag, or operators without a kernel, at most."""


def between_0_and_1(name: str, value: Any) -> float:
    """A level or a quantile.

    Raises:
        SpecError: It is no number, or not between 0 and 1.
    """
    if not _is_real(value) or not 0 < value < 1:
        raise SpecError(
            f"{name} must be a number above 0 and below 1, such as 0.9; received {value!r}"
        )
    return float(value)


def number(name: str, value: Any) -> float:
    """A number that is not NaN.

    Raises:
        SpecError: It is none.
    """
    if not _is_real(value) or math.isnan(value):
        raise SpecError(f"{name} must be a number; received {value!r}")
    return float(value)


def whole_number(name: str, value: Any, least: int = 0) -> int:
    """A whole number, from ``least`` to a thousand million.

    Raises:
        SpecError: It is none.
    """
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not whole or not least <= value <= MOST:
        raise SpecError(f"{name} must be a whole number from {least} to {MOST}; received {value!r}")
    return int(value)


def bag_of(bag: Any) -> Mapping[Kernel, int]:
    """A bag of kernels.

    Raises:
        SpecError: It is no mapping from kernels to how often they occur.
    """
    if not isinstance(bag, Mapping) or not all(isinstance(key, Kernel) for key in bag):
        raise SpecError(
            "a bag is a mapping from kernels to how often each occurs, such as "
            f"lower(model, rules).kernels; received {type(bag).__name__}"
        )
    return {kernel: whole_number(f"the count of '{kernel.title}'", n) for kernel, n in bag.items()}


def _is_real(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)
