import pytest

from hwnas.errors import ShapeError, SpecError
from hwnas.spaces.token_layers import (
    Attention,
    ClassToken,
    FirstToken,
    LayerNorm,
    LayerScale,
    MeanToken,
    PatchConv2d,
    PositionEmbedding,
    ToImage,
    TokenLinear,
    ToTokens,
)

IMAGE = (3, 8, 12)
TOKENS = (5, 6)


@pytest.mark.parametrize(
    ("layer", "inputs", "output", "parameters", "macs"),
    [
        (
            PatchConv2d(7, 4),
            [IMAGE],
            (7, 2, 3),
            {"weight": (7, 3, 4, 4), "bias": (7,)},
            7 * 48 * 6,
        ),
        (ToTokens(), [IMAGE], (96, 3), {}, 0),
        (ToImage(1, 5), [TOKENS], (6, 1, 5), {}, 0),
        (LayerScale(), [TOKENS], TOKENS, {"weight": (6,)}, 0),
        (ClassToken(), [TOKENS], (6, 6), {"weight": (1, 6)}, 0),
        (PositionEmbedding(), [TOKENS], TOKENS, {"weight": TOKENS}, 0),
        (LayerNorm(), [TOKENS], TOKENS, {"weight": (6,), "bias": (6,)}, 0),
        (TokenLinear(4), [TOKENS], (5, 4), {"weight": (4, 6), "bias": (4,)}, 5 * 6 * 4),
        # Scores and their product with the values: tokens × tokens × features each.
        (Attention(2), [TOKENS] * 3, TOKENS, {}, 2 * 5 * 5 * 6),
        (FirstToken(), [TOKENS], (6,), {}, 0),
        (MeanToken(), [TOKENS], (6,), {}, 0),
    ],
    ids=str,
)
def test_shapes_parameters_and_costs(layer, inputs, output, parameters, macs):
    assert layer.arity == len(inputs)
    assert layer.output_shape(*inputs) == output
    assert layer.parameter_shapes(*inputs) == parameters
    assert layer.macs(*inputs) == macs


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: PatchConv2d(4, 0), "patch must be at least 1"),
        (lambda: ToImage(0, 4), "height must be at least 1"),
        (lambda: TokenLinear(0), "out_features must be at least 1"),
        (lambda: Attention(0), "heads must be at least 1"),
    ],
)
def test_settings_out_of_range_are_refused(make, says):
    with pytest.raises(SpecError, match=says):
        make()


@pytest.mark.parametrize(
    ("layer", "inputs", "error", "says"),
    [
        (PatchConv2d(4, 5), [IMAGE], ShapeError, "5 pixels must divide the image, received 8×12"),
        (ToTokens(), [TOKENS], ShapeError, "takes an image"),
        (LayerNorm(), [IMAGE], ShapeError, "layer norm takes tokens"),
        (TokenLinear(4), [(6,)], ShapeError, "linear takes tokens"),
        (Attention(4), [TOKENS] * 3, SpecError, "4 heads for 6 features"),
        (Attention(2), [TOKENS, TOKENS, (4, 6)], ShapeError, "three equal shapes"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(layer, inputs, error, says):
    with pytest.raises(error, match=says):
        layer.output_shape(*inputs)


def test_an_image_has_as_many_pixels_as_there_are_tokens():
    with pytest.raises(ShapeError, match="image of 2×3 takes 6 tokens, received 5"):
        ToImage(2, 3).output_shape(TOKENS)
