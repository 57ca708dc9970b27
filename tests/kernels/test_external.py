import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hwnas.errors import ModelFileError
from hwnas.kernels import FUSION, lower, read_model
from hwnas.kernels.external import outside_tensors

SIDE = 2**15
"""Of a square weight of 4 GiB."""


def outside(name, dims, kind=TensorProto.FLOAT, **place):
    tensor = TensorProto(name=name, dims=dims, data_type=kind, data_location=TensorProto.EXTERNAL)
    for key, value in place.items():
        tensor.external_data.add(key=key, value=str(value))
    return tensor


def saved(folder, nodes, tensors, output):
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "g", [info("x", 1, [1, SIDE])], [info("y", 1, output)], tensors
    )
    imports = [helper.make_opsetid("", 20)]
    path = folder / "m.onnx"
    path.write_bytes(
        helper.make_model(graph, ir_version=10, opset_imports=imports).SerializeToString()
    )
    return path


def product(folder, size, **place):
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    path = saved(folder, nodes, [outside("w", [SIDE, SIDE], location="w.bin", **place)], [1, SIDE])
    with (folder / "w.bin").open("wb") as file:
        os.truncate(file.fileno(), size)
    return path


@pytest.fixture
def read_bytes(monkeypatch):
    """How many bytes of each file were read through ``Path.open``."""
    counts = {}
    original = Path.open

    def opened(self, *args, **kwargs):
        file = original(self, *args, **kwargs)
        read = file.read

        class Counted:
            def __enter__(self):
                return self

            def __exit__(self, *error):
                file.close()

            def seek(self, *args):
                return file.seek(*args)

            def read(self_, *args):
                found = read(*args)
                counts[self.name] = counts.get(self.name, 0) + len(found)
                return found

        return Counted()

    monkeypatch.setattr(Path, "open", opened)
    return counts


def test_weights_of_gigabytes_are_priced_by_their_shape(tmp_path, request):
    path = product(tmp_path, 4 * SIDE * SIDE)
    counts = request.getfixturevalue("read_bytes")
    model = read_model(path)
    assert "w.bin" not in counts
    assert not model.graph.initializer[0].raw_data
    (kernel,) = lower(model, FUSION["onnxruntime"]).kernels
    assert kernel.weights == ((SIDE, SIDE),)


def test_constants_that_decide_shapes_are_read_from_their_place(tmp_path, request):
    sizes = np.array([SIDE // 4, 4], np.int64)
    (tmp_path / "w.bin").write_bytes(bytes(100) + sizes.tobytes() + bytes(4000))
    tensor = outside("s", [2], TensorProto.INT64, location="w.bin", offset=100, length=16)
    nodes = [helper.make_node("Reshape", ["x", "s"], ["y"])]
    path = saved(tmp_path, nodes, [tensor], [SIDE // 4, 4])
    counts = request.getfixturevalue("read_bytes")
    model = read_model(path)
    assert counts["w.bin"] == 16
    assert numpy_helper.to_array(model.graph.initializer[0]).tolist() == sizes.tolist()
    assert not list(outside_tensors(model.graph))


def test_all_are_read_to_run_the_model(tmp_path):
    (tmp_path / "w.bin").write_bytes(np.arange(2048, dtype=np.float32).tobytes())
    tensor = outside("w", [2048], location="w.bin")
    nodes = [
        helper.make_node("Constant", [], ["c"], value=tensor),
        helper.make_node("ReduceSum", ["x"], ["r"], keepdims=0),
        helper.make_node("Add", ["c", "r"], ["y"]),
    ]
    path = saved(tmp_path, nodes, [], [2048])
    assert len(list(outside_tensors(read_model(path).graph))) == 1
    whole = read_model(path, weights=True)
    assert numpy_helper.to_array(whole.graph.node[0].attribute[0].t)[-1] == 2047
    assert not list(outside_tensors(whole.graph))


@pytest.mark.parametrize(
    ("size", "place", "says"),
    [
        (4 * SIDE * SIDE - 1, {}, "holds .* bytes of it, not"),
        (4 * SIDE * SIDE, {"offset": 4}, "holds .* bytes of it, not"),
        (4 * SIDE * SIDE, {"length": 10}, "holds 10 bytes of it, not"),
        (4 * SIDE * SIDE, {"length": 8 * SIDE * SIDE}, "it is truncated"),
        (8 * SIDE * SIDE, {"offset": -4, "length": 4 * SIDE * SIDE}, "negative"),
        (4 * SIDE * SIDE, {"offset": "abc"}, "no number"),
    ],
)
def test_a_place_that_the_file_does_not_hold_is_refused(size, place, says, tmp_path):
    with pytest.raises(ModelFileError, match=rf"m\.onnx' keeps 'w' .*{says}"):
        read_model(product(tmp_path, size, **place))


def test_the_checker_still_looks_at_the_path(tmp_path):
    path = product(tmp_path, 4)
    model = onnx.load(path, load_external_data=False)
    model.graph.initializer[0].external_data[0].value = "../w.bin"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelFileError, match="points outside"):
        read_model(path)
