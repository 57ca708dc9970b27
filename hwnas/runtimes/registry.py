"""Runtimes by name: the built-in ones and those of the ``hwnas.runtimes`` entry points."""

from collections.abc import Callable
from importlib.metadata import entry_points

from hwnas.errors import UnknownNameError
from hwnas.runtimes.base import Runtime
from hwnas.runtimes.onnxruntime import OnnxRuntime
from hwnas.runtimes.simulated import SimulatedRuntime
from hwnas.runtimes.torch_runtime import TorchRuntime

RUNTIMES: dict[str, Callable[[], Runtime]] = {
    "onnxruntime": OnnxRuntime,
    "simulated": SimulatedRuntime,
    "torch": TorchRuntime,
}


def runtime(name: str) -> Runtime:
    """The runtime of a name.

    Raises:
        UnknownNameError: There is none.
    """
    if name in RUNTIMES:
        return RUNTIMES[name]()
    extra = {entry.name: entry for entry in entry_points(group="hwnas.runtimes")}
    if name not in extra:
        raise UnknownNameError("runtime", name, {*RUNTIMES, *extra})
    factory: Callable[[], Runtime] = extra[name].load()
    return factory()
