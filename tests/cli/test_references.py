from hwnas.cli.references import priced, reference_candidates
from hwnas.spaces import space


def test_both_families_are_there_at_the_size_and_classes_of_the_space():
    own = space("resnet-32:image_size=16,classes=3,input_channels=1")
    found = {item.name: item.architecture for item in reference_candidates(own)}
    assert set(found) == {"resnet-like", "mobilenetv2-like"}
    assert {item.input_shape for item in found.values()} == {(1, 16, 16)}
    assert {item.output_shape for item in found.values()} == {(3,)}


def test_a_network_of_another_space_has_no_price():
    row = priced({"name": "mobilenetv2-like", "accuracy": 0.5}, space("resnet-32"), None)
    assert row["predicted_ms"] is row["low_ms"] is row["high_ms"] is None
    assert row["accuracy"] == 0.5
