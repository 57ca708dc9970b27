"""ONNX Runtime behind the agent's small interface; the one file that imports it.

It stands alone (the standard library, numpy and the runtime), because a worker
process on another machine runs this very file without hwnas.
"""

import time

import numpy as np
import onnxruntime

NAME = "onnxruntime"
VERSION = onnxruntime.__version__
CALLING_THREAD = True

BELOW = "hwnas.below."
"""In a model's metadata, before an input's name: what the whole numbers fed to it stay below."""

POSITIVE = "hwnas.positive."
"""The same before the name of an input that must not be below zero."""

_NUMPY_TYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(int8)": np.int8,
    "tensor(uint8)": np.uint8,
    "tensor(bool)": np.bool_,
}


def _options(threads, profile_path=None):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3
    if profile_path is not None:
        options.optimized_model_filepath = profile_path
    return options


def _random_inputs(session, shapes=None):
    rng = np.random.default_rng(0)
    told = session.get_modelmeta().custom_metadata_map
    feeds = {}
    for item in session.get_inputs():
        shape = (shapes or {}).get(item.name, item.shape)
        dtype = _NUMPY_TYPES.get(item.type)
        if dtype is None:
            raise ValueError(f"input '{item.name}' is of type {item.type}, which is not filled")
        if np.issubdtype(dtype, np.floating):
            value = rng.standard_normal(shape).astype(dtype)
            feeds[item.name] = np.abs(value) if POSITIVE + item.name in told else value
        else:
            # Indices, of models that say what these stay below, so that each looks up another row.
            limit = int(told.get(BELOW + item.name, 1))
            feeds[item.name] = rng.integers(0, limit, shape).astype(dtype)
    return feeds


class Session:
    """A prepared model.

    Args:
        source: Path of an ONNX file, or its bytes.
        threads: Threads of one inference.
        shapes: Shapes of inputs whose sizes the model leaves open.
    """

    def __init__(self, source, threads=1, shapes=None):
        begin = time.perf_counter_ns()
        self._session = onnxruntime.InferenceSession(
            source, _options(threads), providers=["CPUExecutionProvider"]
        )
        self.build_ns = time.perf_counter_ns() - begin
        self._shapes = shapes
        self._binding = None

    def bind(self):
        """Bind inputs once and let outputs reuse their memory, so that copies are not timed."""
        self._feeds = _random_inputs(self._session, self._shapes)
        binding = self._session.io_binding()
        for name, value in self._feeds.items():
            binding.bind_cpu_input(name, value)
        for item in self._session.get_outputs():
            if all(isinstance(size, int) for size in item.shape) and item.type in _NUMPY_TYPES:
                value = onnxruntime.OrtValue.ortvalue_from_shape_and_type(
                    item.shape, _NUMPY_TYPES[item.type], "cpu", 0
                )
                binding.bind_ortvalue_output(item.name, value)
            else:
                binding.bind_output(item.name)
        self._binding = binding

    def time(self, runs):
        """Nanoseconds of each of ``runs`` inferences in a row."""
        if self._binding is None:
            self.bind()
        run, binding, clock = self._session.run_with_iobinding, self._binding, time.perf_counter_ns
        samples = []
        for _ in range(runs):
            begin = clock()
            run(binding)
            samples.append(clock() - begin)
        return samples

    def finite(self):
        """Whether the outputs of the last inference hold no NaN and no infinity."""
        return all(
            bool(np.isfinite(value).all())
            for value in self._binding.copy_outputs_to_cpu()
            if np.issubdtype(value.dtype, np.floating)
        )

    def run(self, feeds):
        """Outputs by name for inputs by name."""
        names = [item.name for item in self._session.get_outputs()]
        return dict(zip(names, self._session.run(names, feeds), strict=True))

    def metadata(self):
        """The metadata that the model carries."""
        return dict(self._session.get_modelmeta().custom_metadata_map)


def write_fused(source, path, threads=1):
    """Write the graph that the runtime executes after its own fusions to ``path``."""
    onnxruntime.InferenceSession(
        source, _options(threads, path), providers=["CPUExecutionProvider"]
    )
