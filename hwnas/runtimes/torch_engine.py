"""torch behind the agent's small interface, on the CPU and on CUDA GPUs.

It stands alone with the other files ``torch_*.py`` beside it (the standard library,
numpy, onnx and torch), as ``ort_engine.py`` does.

A device's options choose how a model runs:

- ``provider``: ``cpu``; ``cuda``, eager, a kernel launched by Python after the other;
  ``cuda-graph``, captured once and replayed; ``cuda-compile``, through ``torch.compile``
  (inductor's default mode, which chooses without timing, so that processes agree) and
  then captured in the same way: what ``reduce-overhead`` does, without its copies.
- ``precision``: ``fp32`` (TF32 off); ``tf32`` and ``fp16`` on CUDA only.
- ``cudnn_benchmark``: ``on`` (cuDNN times its algorithms) or ``off`` (it guesses).
- ``layout``: ``contiguous`` or ``channels_last``. Without it, channels last on the CPU
  and for fp16, whose kernels want it, and contiguous for fp32 on CUDA.

A latency is the time from issuing an inference until its outputs are ready, inputs and
outputs on the device: ``perf_counter`` around launch and synchronisation. That is what
a user waits. CUDA events (``time_events``) leave out the launch of the first kernel and
the wait at the end, some 10 µs, and in a busy stream would show throughput.

A GPU without work lowers its clocks. Before a burst that follows a pause of more than
``IDLE_NS`` the model runs ``WAKE_NS`` long untimed; the first inference is never preceded.
"""

import contextlib
import importlib.util
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import torch


def _beside(name):
    """A module of a file beside this one, which also a worker without hwnas finds."""
    full = f"_hwnas_{name}"
    if full not in sys.modules:
        spec = importlib.util.spec_from_file_location(full, Path(__file__).with_name(f"{name}.py"))
        module = importlib.util.module_from_spec(spec)
        sys.modules[full] = module
        spec.loader.exec_module(module)
    return sys.modules[full]


graph = _beside("torch_graph")
OPERATORS = {
    name: function
    for file in ("torch_ops", "torch_windows", "torch_shapes")
    for name, function in _beside(file).OPERATORS.items()
}
conditions = _beside("torch_conditions").conditions

NAME = "torch"
VERSION = torch.__version__
# CUDA reserves address space far beyond the memory.
LIMIT_MEMORY = not torch.cuda.is_available()

PROVIDERS = ("cpu", "cuda", "cuda-graph", "cuda-compile")
ALLOWED = {
    "provider": PROVIDERS,
    "precision": ("fp32", "tf32", "fp16"),
    "cudnn_benchmark": ("on", "off"),
    "layout": ("contiguous", "channels_last"),
}
IDLE_NS, WAKE_NS = 50_000_000, 20_000_000
WARM_UPS = 3
FLUSH_BYTES = 256 << 20

_last = {"ns": 0, "cuda": False, "flush": None}


def checked(options):
    """Options with their defaults.

    Raises:
        ValueError: An option or its value is unknown, or the GPU that it needs is absent.
    """
    for name, value in (options or {}).items():
        if name not in ALLOWED:
            raise ValueError(f"torch has no option '{name}'; allowed: {', '.join(ALLOWED)}")
        if value not in ALLOWED[name]:
            allowed = ", ".join(ALLOWED[name])
            raise ValueError(f"option '{name}' of torch must be one of {allowed}: got '{value}'")
    found = {"provider": "cpu", "precision": "fp32", "cudnn_benchmark": "on", **(options or {})}
    last = found["provider"] == "cpu" or found["precision"] == "fp16"
    found.setdefault("layout", "channels_last" if last else "contiguous")
    if found["provider"] == "cpu":
        if found["precision"] != "fp32":
            raise ValueError(
                f"precision {found['precision']} of torch needs a CUDA provider; on cpu use fp32"
            )
    elif not torch.cuda.is_available():
        raise ValueError(
            f"provider '{found['provider']}' needs a CUDA GPU, and torch {VERSION} sees none; "
            "use provider cpu, or install the driver and a CUDA build of torch"
        )
    return found


@contextlib.contextmanager
def _settings(options, threads):
    """Threads and precision of torch while a session runs, as they were afterwards."""
    before = torch.get_num_threads()
    if before != threads:
        torch.set_num_threads(threads)
    if options["provider"] != "cpu":
        tf32 = options["precision"] == "tf32"
        torch.backends.cuda.matmul.allow_tf32 = tf32
        torch.backends.cudnn.allow_tf32 = tf32
        torch.backends.cudnn.benchmark = options["cudnn_benchmark"] == "on"
    try:
        with torch.inference_mode():
            yield
    finally:
        if before != threads:
            torch.set_num_threads(before)


class Session:
    """A prepared model.

    Args:
        source: Path of an ONNX file, or its bytes.
        threads: Threads of one inference on the CPU.
        shapes: Shapes of inputs whose sizes the model leaves open.
        options: As the module says.
    """

    def __init__(self, source, threads=1, shapes=None, options=None):
        self._options, self._threads = checked(options), threads
        self._cuda = self._options["provider"] != "cpu"
        self._ran = False
        begin = time.perf_counter_ns()
        model = onnx.load_model_from_string(source) if isinstance(source, bytes) else None
        self._model = model or onnx.load(source)
        with _settings(self._options, threads):
            self._build(shapes)
            self._synchronise()
        self.build_ns = time.perf_counter_ns() - begin
        del self._model.graph.initializer[:]

    def _build(self, shapes):
        half = self._options["precision"] == "fp16"
        built = graph.Builder(self._model, OPERATORS, shapes, half)
        self._names, self._kinds = built.outputs, [kind for _, kind, _ in built.inputs]
        self._module = built.module()
        place = "cuda" if self._cuda else "cpu"
        last = self._options["layout"] == "channels_last"
        for name, buffer in list(self._module.named_buffers()):
            moved = buffer.to(place)
            setattr(self._module, name, _laid_out(moved) if last else moved)
        rng = np.random.default_rng(0)
        self._inputs = {}
        for name, _, meta in built.inputs:
            if meta.is_floating_point():
                value = torch.from_numpy(rng.standard_normal(tuple(meta.shape), np.float32))
            else:
                value = torch.zeros(tuple(meta.shape))
            value = value.to(place, meta.dtype)
            self._inputs[name] = _laid_out(value) if last else value
        self._step = self._eager
        if self._options["provider"] == "cuda-compile":
            self._module = torch.compile(self._module, dynamic=False)
        if self._options["provider"] in ("cuda-graph", "cuda-compile"):
            self._capture()

    def _eager(self):
        self._outputs = self._module(*self._inputs.values())

    def _capture(self):
        """Record the launches of one inference, to be replayed by a single one."""
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UPS):
                self._eager()
        torch.cuda.current_stream().wait_stream(side)
        self._synchronise()
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._eager()
        self._step = self._graph.replay

    def _synchronise(self):
        if self._cuda:
            torch.cuda.synchronize()

    def _wake(self):
        """Let the clocks of a GPU that had nothing to do come up."""
        _last["cuda"] = self._cuda
        now = time.perf_counter_ns()
        if self._cuda and self._ran and now - _last["ns"] > IDLE_NS:
            while time.perf_counter_ns() - now < WAKE_NS:
                self._step()
                torch.cuda.synchronize()
        self._ran = True

    def time(self, runs):
        """Nanoseconds of each of ``runs`` inferences in a row, from issue to results."""
        with _settings(self._options, self._threads):
            self._wake()
            step, wait, clock = self._step, self._synchronise, time.perf_counter_ns
            samples = []
            for _ in range(runs):
                begin = clock()
                step()
                wait()
                samples.append(clock() - begin)
            _last["ns"] = clock()
        return samples

    def time_events(self, runs):
        """As ``time`` by CUDA events on the stream: the GPU's own part of the latency."""
        with _settings(self._options, self._threads):
            self._wake()
            samples = []
            for _ in range(runs):
                begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
                begin.record()
                self._step()
                end.record()
                torch.cuda.synchronize()
                samples.append(round(begin.elapsed_time(end) * 1e6))
            _last["ns"] = time.perf_counter_ns()
        return samples

    def finite(self):
        """Whether the outputs of the last inference hold no NaN and no infinity."""
        return all(bool(torch.isfinite(value).all()) for value in self._outputs)

    def run(self, feeds):
        """Outputs by name for inputs by name, numpy arrays of the model's types.

        Raises:
            ValueError: An input is missing, unknown or of another shape.
        """
        if set(feeds) != set(self._inputs):
            raise ValueError(
                f"inputs must be {', '.join(self._inputs)}, received {', '.join(feeds) or 'none'}"
            )
        with _settings(self._options, self._threads):
            for name, held in self._inputs.items():
                if tuple(feeds[name].shape) != tuple(held.shape):
                    raise ValueError(
                        f"input '{name}' has shape {tuple(held.shape)}, "
                        f"received {tuple(feeds[name].shape)}"
                    )
                held.copy_(torch.from_numpy(np.ascontiguousarray(feeds[name])))
            self._step()
            self._synchronise()
            kinds = [item.type.tensor_type.elem_type for item in self._model.graph.output]
            return {
                name: value.to("cpu", graph.TYPES.get(kind, value.dtype)).numpy().copy()
                for name, value, kind in zip(self._names, self._outputs, kinds, strict=True)
            }

    def metadata(self):
        """The metadata that the model carries."""
        return {item.key: item.value for item in self._model.metadata_props}

    def calls(self):
        """Names of the torch functions that one inference calls."""
        return [
            getattr(node.target, "__name__", str(node.target))
            for node in self._module.graph.nodes
            if node.op == "call_function"
        ]


def _laid_out(tensor):
    return tensor.contiguous(memory_format=torch.channels_last) if tensor.dim() == 4 else tensor


def flush():
    """Empty the caches: the GPU's by writing over it, else the processor's."""
    if _last["flush"] is None:
        place = "cuda" if _last["cuda"] else "cpu"
        size = FLUSH_BYTES if _last["cuda"] else FLUSH_BYTES // 4
        _last["flush"] = torch.zeros(size, dtype=torch.uint8, device=place)
    _last["flush"].add_(1)
    if _last["cuda"]:
        torch.cuda.synchronize()
