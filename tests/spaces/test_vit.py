import pytest

from hwnas.errors import SpecError
from hwnas.export.parts_onnx import block_part
from hwnas.spaces import BlockSpec, expand, space
from hwnas.spaces.vit import vit


def test_the_reference_is_vit_tiny():
    own = space("vit")
    architecture = own.decode(own.references["vit-like"])
    # The count of timm's vit_tiny_patch16_224.
    assert architecture.parameters == 5_717_416
    assert architecture.placed[1].input_shape == (197, 192)


def test_a_block_has_four_projections_and_an_mlp():
    spec = BlockSpec.of(
        "transformer_block", heads=2, head_dimension=4, hidden=20, activation="gelu"
    )
    graph = expand(spec, (5, 12))
    assert graph.output_shape == (5, 12)
    attention = 3 * (12 * 8 + 8) + 8 * 12 + 12
    mlp = 12 * 20 + 20 + 20 * 12 + 12
    assert graph.parameters == attention + mlp + 2 * 2 * 12
    assert graph.macs == 5 * (4 * 12 * 8 + 2 * 12 * 20) + 2 * 5 * 5 * 8


@pytest.mark.parametrize(
    ("class_token", "positions", "tokens"), [(True, True, 5), (False, True, 4), (False, False, 4)]
)
def test_the_embedding_makes_tokens_of_patches(class_token, positions, tokens):
    spec = BlockSpec.of(
        "patch_embedding", dimension=6, patch=4, class_token=class_token, positions=positions
    )
    graph = expand(spec, (3, 8, 8))
    assert graph.output_shape == (tokens, 6)
    patches = 6 * 3 * 16 + 6
    assert graph.parameters == patches + 6 * class_token + 6 * tokens * positions


def test_everything_is_elastic_per_network_or_block():
    own = space("vit-32")
    values = {"patch": 8, "dimension": 96, "depth": 3, "block2.heads": 3, "block3.ratio": 4.0}
    architecture = own.decode(own.encode(values))
    assert [block.input_shape for block in architecture.placed[1:]] == [(17, 96)] * 4
    blocks = [dict(spec.arguments) for spec in architecture.blocks[1:4]]
    assert [spec["heads"] for spec in blocks] == [2, 3, 2]
    assert [spec["hidden"] for spec in blocks] == [192, 192, 384]
    assert own.size == 2 * 3 * (4**2 + 4**3 + 4**4)


def test_without_a_class_token_the_mean_is_classified():
    own = vit(
        "own",
        image_size=8,
        classes=3,
        patches=(4,),
        dimensions=(8,),
        depths=(1,),
        heads=(1,),
        class_token=False,
    )
    architecture = own.decode(own.references["vit-like"])
    assert architecture.placed[1].input_shape == (4, 8)
    assert dict(architecture.blocks[-1].arguments)["pool"] == "mean"
    assert architecture.output_shape == (3,)


def test_parts_of_tokens_have_no_edges():
    own = space("vit-32")
    embedding, block, *_, head = own.decode(own.references["vit-like"]).placed
    assert [block_part(item).edges for item in (embedding, block, head)] == [(), (), ()]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("vit-32:image_size=12", "multiple of the patches 4, 8, received 12"),
        ("vit-32:image_size=4", "image_size must be at least 8"),
        ("vit-32:classes=1", "classes must be from 2"),
    ],
)
def test_settings_that_cannot_be_built_are_refused(text, says):
    with pytest.raises(SpecError, match=says):
        space(text)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        (BlockSpec.of("vit_head", classes=3, pool="last"), "first or mean, received 'last'"),
        (
            BlockSpec.of(
                "transformer_block", heads=2, head_dimension=0, hidden=8, activation="gelu"
            ),
            "head_dimension must be at least 1",
        ),
    ],
)
def test_blocks_that_cannot_be_built_are_refused(spec, says):
    with pytest.raises(SpecError, match=says):
        expand(spec, (4, 8))
