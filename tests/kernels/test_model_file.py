import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from hwnas.errors import ModelFileError
from hwnas.export.parts_onnx import canary_model
from hwnas.kernels import FUSION, lower, parse_model, read_model


def test_a_model_reads_back(tmp_path):
    path = tmp_path / "m.onnx"
    path.write_bytes(canary_model())
    assert read_model(path).graph.name == "canary"


@pytest.mark.parametrize("payload", [b"", b"not a model", canary_model()[:-500]])
def test_what_is_no_whole_model_is_refused(payload, tmp_path):
    path = tmp_path / "m.onnx"
    path.write_bytes(payload)
    with pytest.raises(ModelFileError, match=r"m\.onnx"):
        read_model(path)


def test_a_missing_file_and_a_newer_opset_are_named(tmp_path):
    with pytest.raises(ModelFileError, match="no file"):
        read_model(tmp_path / "none.onnx")
    model = onnx.load_model_from_string(canary_model())
    del model.opset_import[:]
    model.opset_import.append(helper.make_opsetid("", 999))
    with pytest.raises(ModelFileError, match="opset 999"):
        parse_model(model.SerializeToString(), "m")


def outside(location, length=64):
    """A product whose weight is kept in another file."""
    tensor = onnx.TensorProto(name="w", dims=[4, 4], data_type=1, data_location=1)
    for key, value in (("location", location), ("offset", "0"), ("length", str(length))):
        tensor.external_data.add(key=key, value=value)
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "g",
        [value("x", 1, [2, 4])],
        [value("y", 1, [2, 4])],
        [tensor],
    )
    return helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)])


def saved(tmp_path, model):
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "m.onnx").write_bytes(model.SerializeToString())
    return folder / "m.onnx"


def test_weights_in_another_file_are_read(tmp_path):
    path = saved(tmp_path, outside("w.bin"))
    (path.parent / "w.bin").write_bytes(np.ones(16, np.float32).tobytes())
    model = read_model(path, weights=True)
    assert numpy_helper.to_array(model.graph.initializer[0]).sum() == 16
    (kernel,) = lower(model, FUSION["onnxruntime"]).kernels
    assert kernel.macs == 2 * 4 * 4


@pytest.mark.parametrize("location", ["w.bin", "../w.bin", "/etc/hostname", "", "."])
def test_weights_that_are_missing_or_outside_the_folder_are_refused(location, tmp_path):
    path = saved(tmp_path, outside(location))
    (tmp_path / "w.bin").write_bytes(bytes(64))
    with pytest.raises(ModelFileError, match=r"m\.onnx"):
        read_model(path)


@pytest.mark.parametrize("held", [0, 63])
def test_truncated_weights_are_refused(held, tmp_path):
    path = saved(tmp_path, outside("w.bin"))
    (path.parent / "w.bin").write_bytes(bytes(held))
    with pytest.raises(ModelFileError, match=r"m\.onnx"):
        read_model(path)


def test_a_file_of_two_gigabytes_is_not_read(tmp_path):
    path = tmp_path / "m.onnx"
    with path.open("wb") as file:
        os.truncate(file.fileno(), 2**31)
    with pytest.raises(ModelFileError, match="save_as_external_data"):
        read_model(path)


def test_what_is_no_file_is_called_what_it_is(tmp_path):
    os.mkfifo(tmp_path / "pipe.onnx")
    for path, kind in ((tmp_path, "folder"), (tmp_path / "pipe.onnx", "pipe")):
        with pytest.raises(ModelFileError, match=f"is a {kind}, not a file"):
            read_model(path)
    with pytest.raises(ModelFileError, match="is a device, not a file"):
        read_model(Path("/dev/zero"))


def test_a_name_that_is_no_text_is_refused_in_text(tmp_path):
    path = tmp_path / os.fsdecode(b"\xff.onnx")
    path.write_bytes(canary_model())
    with pytest.raises(ModelFileError, match=r"\\xff\.onnx' is not UTF-8") as caught:
        read_model(path)
    str(caught.value).encode()


def test_the_domain_of_onnx_has_two_names(tmp_path):
    model = onnx.load_model_from_string(canary_model())
    for node in model.graph.node:
        node.domain = "ai.onnx"
    path = tmp_path / "m.onnx"
    path.write_bytes(model.SerializeToString())
    rules = FUSION["onnxruntime"]
    plain = lower(parse_model(canary_model(), "m"), rules)
    assert lower(read_model(path), rules) == plain
    assert lower(parse_model(model.SerializeToString(), "m"), rules) == plain
