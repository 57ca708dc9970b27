import pytest

from hwnas.errors import SpecError
from hwnas.export.module_model import module_model
from hwnas.spaces.module_layers import OwnModule


def test_a_module_is_exported_once_with_all_shapes_stated(own_blocks):
    layer = OwnModule(f"{own_blocks}:Pixels", 8, 1, ())
    model = module_model(layer, (4, 6, 6), 2)
    assert module_model(layer, (4, 6, 6), 2) is model
    graph = model.graph
    stated = {item.name for item in (*graph.value_info, *graph.output)}
    assert {name for node in graph.node for name in node.output} <= stated
    assert [size.dim_value for size in graph.output[0].type.tensor_type.shape.dim] == [2, 8, 6, 6]


def test_a_module_whose_graph_cannot_be_priced_is_refused(tmp_path, monkeypatch):
    (tmp_path / "branching_blocks.py").write_text(
        "import torch\n"
        "class Branch(torch.nn.Module):\n"
        "    def forward(self, image):\n"
        "        return image * 2 if image.sum() > 0 else image\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SpecError, match="cannot be exported to ONNX"):
        module_model(OwnModule("branching_blocks:Branch", 0, 1, ()), (2, 4, 4), 1)
