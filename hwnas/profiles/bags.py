"""A measured network together with what it is made of."""

from collections import Counter
from dataclasses import dataclass, field

from hwnas.kernels import Kernel
from hwnas.profiles.observation import Measurement


@dataclass(frozen=True)
class NetworkBag:
    """A network that was measured.

    Args:
        measurement: Its latency.
        blocks: Its blocks' keys, with how often each occurs.
        judged: Whether it is kept out of all fitting.
        space: The space that it comes from.
    """

    measurement: Measurement
    blocks: Counter[str]
    judged: bool
    space: str


@dataclass(frozen=True)
class ProfiledBags:
    """What a predictor is fitted on, besides the records themselves.

    Args:
        block_kernels: The kernels of every block that was measured or stands in
            a measured network, by the block's key.
        networks: The measured networks.
    """

    block_kernels: dict[str, Counter[Kernel]] = field(default_factory=dict)
    networks: list[NetworkBag] = field(default_factory=list)
