"""Adam over named numpy arrays, for policies that are small enough to need no torch."""

import base64
from typing import Any

import numpy as np
from numpy.typing import NDArray

Parameters = dict[str, NDArray[Any]]


class Adam:
    """Adam (Kingma and Ba, 2015), uphill.

    Args:
        parameters: What to move, in place.
        rate: Step length: about the largest change of a parameter per step.
        decay: Of the means of gradients and of their squares.
    """

    def __init__(
        self, parameters: Parameters, rate: float, decay: tuple[float, float] = (0.9, 0.999)
    ) -> None:
        self.parameters = parameters
        self.rate = rate
        self.decay = decay
        self.steps = 0
        self._mean = {name: np.zeros_like(own) for name, own in parameters.items()}
        self._square = {name: np.zeros_like(own) for name, own in parameters.items()}

    def step(self, gradient: Parameters) -> None:
        """Move along a gradient, by the names of the parameters."""
        self.steps += 1
        first, second = self.decay
        shrink = self.rate / (1 - first**self.steps)
        for name, own in gradient.items():
            mean, square = self._mean[name], self._square[name]
            mean += (1 - first) * (own - mean)
            square += (1 - second) * (own * own - square)
            root = np.sqrt(square / (1 - second**self.steps))
            self.parameters[name] += shrink * mean / (root + 1e-8)

    def state_dict(self) -> dict[str, Any]:
        """Parameters and moments, exact to the last bit."""
        return {
            "steps": self.steps,
            "parameters": packed(self.parameters),
            "mean": packed(self._mean),
            "square": packed(self._square),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`state_dict` gave."""
        self.steps = int(state["steps"])
        for key, own in (
            ("parameters", self.parameters),
            ("mean", self._mean),
            ("square", self._square),
        ):
            for name, text in state[key].items():
                own[name][...] = unpacked(text, own[name])


def packed(arrays: Parameters) -> dict[str, str]:
    """Arrays as base64 of their little-endian numbers: a third of what digits would take."""
    return {
        name: base64.b64encode(own.astype(own.dtype.newbyteorder("<")).tobytes()).decode("ascii")
        for name, own in arrays.items()
    }


def unpacked(text: str, like: NDArray[Any]) -> NDArray[Any]:
    """What :func:`packed` wrote, in the shape and type of another array."""
    kind = like.dtype.newbyteorder("<")
    return np.frombuffer(base64.b64decode(text), dtype=kind).reshape(like.shape)
