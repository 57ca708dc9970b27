import onnx
import pytest
from onnx import helper

from hwnas.errors import ModelFileError
from hwnas.export.parts_onnx import canary_model
from hwnas.kernels import parse_model, read_model


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
