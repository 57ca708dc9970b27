"""A simulated device with a known truth, on a simulated clock: the fake that ships.

It prices the kernels that ONNX Runtime's fusion rules find: a roofline with a
quirk per kernel that is fixed by its key, reorders at the edges, and in a
network a slow-down that sums of parts miss. What a model needs and the simulated
cache does not hold is loaded first. Time passes only by what runs.

The environment variable ``HWNAS_SIMULATED`` configures it, a JSON object with

- ``seed`` (0): all randomness comes from it;
- ``processes`` (none): a file in which processes count themselves, one byte each;
  a process's number, from 0, is then part of its seed, else all draw the same;
- ``noise_pct`` (0.4): noise of a run, half-normal: none is faster than the truth;
- ``bursts_per_s`` (1), ``burst_ms`` (100), ``burst_pct`` (30): slow bursts as a Poisson
  process, their mean length (exponential) and mean height (a third to 5/3 of it);
- ``drift_pct`` (0), ``drift_s`` (120): thermal drift of the clock speed, up to so much
  slower after so long, and back after twice that;
- ``session_pct`` (0): deviation of a factor that a process draws for each network;
- ``cache_kib`` (4096): size of the cache;
- ``slowdowns`` ([]): objects ``{"pct", "from_s", "to_s", "process"}``: slower between two
  times; without ``to_s`` to the end, without ``process`` in every process;
- ``faults`` ({}): what models do wrong, selector to fault.

A selector is terms separated by spaces, all of which must hold: ``graph:NAME`` (that
of a network is its digest), ``op:TYPE`` (a node of it), ``nodes:NUMBER``,
``kernel:TEXT`` (part of a kernel's key), ``sha256:PREFIX`` (of the file: one part).

A fault is ``KIND[=AMOUNT][@RUN]`` at the model's run of that number (0, made while
loading): ``crash`` (exit with status AMOUNT, 3), ``abort`` (SIGABRT), ``hang`` (sleep for
AMOUNT real seconds, 3600), ``memory`` (take AMOUNT MiB and keep them, 256), ``nan``
(outputs that are not finite) or ``clock`` (it jumps by AMOUNT ms, 1000, forward or
backward, and the run's sample holds the jump, as where a real clock jumps).
"""

import hashlib
import json
import math
import os
import random
import time
from collections import Counter, OrderedDict
from pathlib import Path
from typing import Any

import onnx

from hwnas.errors import RequestError
from hwnas.kernels.fusion import ONNXRUNTIME_CPU
from hwnas.kernels.kernel import Kernel
from hwnas.kernels.lower import lower

NAME = "simulated"
VERSION = "2"

CALL_NS = 3000.0
GIGAMACS, GIGABYTES = 20.0, 12.0  # per second
REORDER_NS_PER_ELEMENT = 0.1
LOAD_BYTES_PER_NS = 4.0
KEPT_SHARE = 0.85  # of the bytes that a run loads, so much is still cached at the next
NETWORK_CONVOLUTIONS = 8  # with more, a model is a network: it costs more than its kernels

_DEFAULTS: dict[str, Any] = {
    "seed": 0,
    "processes": None,
    "noise_pct": 0.4,
    "bursts_per_s": 1.0,
    "burst_ms": 100.0,
    "burst_pct": 30.0,
    "drift_pct": 0.0,
    "drift_s": 120.0,
    "session_pct": 0.0,
    "cache_kib": 4096.0,
    "slowdowns": [],
    "faults": {},
}
_SELECTORS = ("graph", "op", "nodes", "kernel", "sha256")
_FAULTS = {"crash": 3.0, "abort": 0.0, "hang": 3600.0, "memory": 256.0, "nan": 0.0, "clock": 1000.0}


def _refuse_unknown(what: str, names: Any, allowed: Any) -> None:
    unknown = sorted(set(names) - set(allowed))
    if unknown:
        raise RequestError(
            f"HWNAS_SIMULATED: unknown {what} '{unknown[0]}'; allowed: {', '.join(allowed)}"
        )


def _fault(text: str) -> tuple[str, float, int]:
    """Kind, amount and run of a fault."""
    head, _, run = text.partition("@")
    kind, _, amount = head.partition("=")
    _refuse_unknown("fault", [kind], _FAULTS)
    try:
        return kind, float(amount or _FAULTS[kind]), int(run or 0)
    except ValueError:
        raise RequestError(
            f"HWNAS_SIMULATED: fault '{text}' is not KIND[=NUMBER][@RUN], for example clock=-5@20"
        ) from None


def _configuration(text: str) -> dict[str, Any]:
    """The configuration with its defaults, checked as far as names go."""
    try:
        given = dict(json.loads(text))
    except (ValueError, TypeError) as error:
        raise RequestError(f"HWNAS_SIMULATED is not a JSON object: {error}") from None
    _refuse_unknown("key", given, _DEFAULTS)
    config = {**_DEFAULTS, **given}
    for slowdown in config["slowdowns"]:
        _refuse_unknown("key of a slowdown", slowdown, ("pct", "from_s", "to_s", "process"))
    for selector, fault in config["faults"].items():
        _refuse_unknown("selector", [t.partition(":")[0] for t in selector.split()], _SELECTORS)
        _fault(fault)
    if config["session_pct"] and config["processes"] is None:
        raise RequestError("HWNAS_SIMULATED: session_pct needs processes, the file that counts")
    return config


def _number(path: str | None) -> int:
    """How many processes counted themselves in a file before this one, which does so."""
    if path is None:
        return 0
    with open(path, "ab", buffering=0) as stream:
        stream.write(b".")
        return stream.tell() - 1


_config = _configuration(os.environ.get("HWNAS_SIMULATED", "{}"))
_process = _number(_config["processes"])
_seed = f"{_config['seed']}:{_process}"
_random = random.Random(_seed)
_cache_bytes = 1024.0 * _config["cache_kib"]
_cached: OrderedDict["Session", float] = OrderedDict()
_eaten: list[bytearray] = []


class _Device:
    """The time that passes on the device, and how slow it is at that time."""

    def __init__(self) -> None:
        self.now_ns = 0.0
        self.jumped_ns = 0.0
        self._random = random.Random(f"bursts:{_seed}")
        self._begin_ns, self._end_ns, self._height = 0.0, 0.0, 1.0

    def slowness(self) -> float:
        """How many times its true time a run takes now; noise and caches aside."""
        phase = math.pi * self.now_ns / (1e9 * _config["drift_s"])
        factor = 1 + _config["drift_pct"] / 100 * (1 - math.cos(phase)) / 2
        for item in _config["slowdowns"]:
            begin_s, end_s = item.get("from_s", 0.0), item.get("to_s", math.inf)
            mine = item.get("process", _process) == _process
            if mine and begin_s <= self.now_ns / 1e9 < end_s:
                factor *= 1 + item["pct"] / 100
        return float(factor * self._burst())

    def _burst(self) -> float:
        if not _config["bursts_per_s"]:
            return 1.0
        while self.now_ns >= self._end_ns:
            gap = self._random.expovariate(_config["bursts_per_s"])
            self._begin_ns = self._end_ns + 1e9 * gap
            length = self._random.expovariate(1 / _config["burst_ms"])
            self._end_ns = self._begin_ns + 1e6 * length
            self._height = 1 + _config["burst_pct"] / 100 * self._random.uniform(1 / 3, 5 / 3)
        return self._height if self.now_ns >= self._begin_ns else 1.0


_device = _Device()


def clock_ns() -> int:
    """The simulated time."""
    return int(_device.now_ns + _device.jumped_ns)


def sleep_ns(duration_ns: float) -> None:
    """Let simulated time pass."""
    _device.now_ns += duration_ns


def flush() -> None:
    """Empty the caches: the next inference of every model loads what it needs."""
    _cached.clear()


def kernel_ns(kernel: Kernel) -> float:
    """The true time of a kernel inside a network."""
    quirk = int(hashlib.sha256(kernel.key.encode()).hexdigest()[:8], 16) / 2**32
    rate = {"depthwise": 0.25, "grouped": 0.5, "pointwise": 1.1}.get(kernel.family, 1.0)
    work = max(kernel.macs / (GIGAMACS * rate), kernel.bytes_moved / GIGABYTES)
    return 400.0 + work * (0.95 + 0.1 * quirk)


def _bag(model: onnx.ModelProto) -> Counter[Kernel]:
    return lower(model, ONNXRUNTIME_CPU).kernels


def working_set_bytes(model: onnx.ModelProto, bag: Counter[Kernel] | None = None) -> float:
    """What one inference needs in the cache: all weights, and the largest kernel's activations."""
    bag = _bag(model) if bag is None else bag
    weights = sum(count * k.weight_elements * k.element_bytes for k, count in bag.items())
    activations = ((k.input_elements + k.output_elements) * k.element_bytes for k in bag)
    return float(weights + max(activations, default=0))


def model_ns(model: onnx.ModelProto, bag: Counter[Kernel] | None = None) -> float:
    """The true time of one warm inference: what does not fit into the cache is loaded each time."""
    bag = _bag(model) if bag is None else bag
    total = sum(count * kernel_ns(kernel) for kernel, count in bag.items())
    convolutions = sum(count for kernel, count in bag.items() if kernel.op == "Conv")
    pressure = 1 + 0.02 * math.log1p(max(0, convolutions - NETWORK_CONVOLUTIONS))
    edges = sum(
        math.prod(size.dim_value for size in item.type.tensor_type.shape.dim)
        for item in (*model.graph.input, *model.graph.output)
        if len(item.type.tensor_type.shape.dim) == 4
    )
    overflow = max(0.0, working_set_bytes(model, bag) - _cache_bytes) / LOAD_BYTES_PER_NS
    return float(CALL_NS + total * pressure + REORDER_NS_PER_ELEMENT * edges + overflow)


def _holds(term: str, model: onnx.ModelProto, bag: Counter[Kernel], digest: str) -> bool:
    """Whether a term of a selector holds for a model."""
    kind, _, text = term.partition(":")
    if kind == "graph":
        return bool(model.graph.name == text)
    if kind == "op":
        return any(node.op_type == text for node in model.graph.node)
    if kind == "nodes":
        return str(len(model.graph.node)) == text
    if kind == "kernel":
        return any(text in kernel.key for kernel in bag)
    return digest.startswith(text)


class Session:
    """A prepared model on the simulated device."""

    def __init__(
        self, source: str, threads: int = 1, shapes: dict[str, list[int]] | None = None
    ) -> None:
        payload = Path(source).read_bytes()
        digest = hashlib.sha256(payload).hexdigest()
        model = onnx.load_model_from_string(payload)
        bag = _bag(model)
        self._true_ns = model_ns(model, bag)
        if sum(n for kernel, n in bag.items() if kernel.op == "Conv") > NETWORK_CONVOLUTIONS:
            drawn = random.Random(f"{_seed}:{digest}").gauss(0, _config["session_pct"])
            self._true_ns *= math.exp(drawn / 100)
        self._needed_bytes = min(working_set_bytes(model, bag), _cache_bytes)
        self._faults = [
            _fault(fault)
            for selector, fault in _config["faults"].items()
            if all(_holds(term, model, bag, digest) for term in selector.split())
        ]
        self._runs = 0
        self.build_ns = int(2e6)
        _device.now_ns += self.build_ns

    def time(self, runs: int) -> list[int]:
        """Simulated nanoseconds of each of ``runs`` inferences in a row."""
        samples = []
        for _ in range(runs):
            before = clock_ns()
            missing = self._needed_bytes - _cached.get(self, 0.0)
            warm_ns = self._true_ns * (1 + abs(_random.gauss(0, _config["noise_pct"] / 100)))
            _device.now_ns += (warm_ns + missing / LOAD_BYTES_PER_NS) * _device.slowness()
            self._cache(self._needed_bytes - (1 - KEPT_SHARE) * missing)
            self._fail()
            self._runs += 1
            samples.append(clock_ns() - before)
        return samples

    def _cache(self, size_bytes: float) -> None:
        """Hold so much of this model, and drop of the others what was used longest ago."""
        _cached[self] = size_bytes
        _cached.move_to_end(self)
        over = sum(_cached.values()) - _cache_bytes
        while over > 0:
            oldest, held = _cached.popitem(last=False)
            if held > over:
                _cached[oldest] = held - over
                _cached.move_to_end(oldest, last=False)
            over -= held

    def _fail(self) -> None:
        for kind, amount, run in self._faults:
            if run != self._runs:
                continue
            if kind == "crash":
                os._exit(int(amount))
            if kind == "abort":
                os.abort()
            if kind == "hang":
                time.sleep(amount)
            if kind == "memory":
                # Written to, so that the system has to give real pages.
                _eaten.append(bytearray(b"\1" * int(amount * 2**20)))
            if kind == "clock":
                _device.jumped_ns += 1e6 * amount

    def finite(self) -> bool:
        """Whether the outputs are finite: they are until a ``nan`` fault."""
        return not any(kind == "nan" and run < self._runs for kind, _, run in self._faults)
