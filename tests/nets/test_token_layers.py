import torch

from hwnas.nets import Network, apply_layer, inherit, initial
from hwnas.spaces import space
from hwnas.spaces.token_layers import LayerScale, ToImage, ToTokens


def test_an_image_is_its_tokens_and_back():
    image = torch.randn(2, 3, 4, 5, generator=torch.manual_seed(0))
    tokens = apply_layer(ToTokens(), [image], {})
    # The second pixel of the first row.
    assert torch.equal(tokens[:, 1], image[:, :, 0, 1])
    assert torch.equal(apply_layer(ToImage(4, 5), [tokens], {}), image)


def test_layer_scale_starts_small_and_multiplies_features():
    weight = initial(LayerScale(), "weight", (3,), torch.manual_seed(0))
    assert torch.equal(weight, torch.full((3,), 0.1))
    tokens = torch.ones(2, 4, 3)
    factors = torch.tensor([0.0, 1.0, 2.0])
    assert torch.equal(apply_layer(LayerScale(), [tokens], {"weight": factors}), tokens * factors)


def test_a_convnext_inherits_from_a_smaller_one():
    own = space("convnext-32")
    small, large = (own.decode(own.encode({"width": width})) for width in (0.5, 1.0))
    network, _ = inherit(Network(small, seed=1), large)
    images = torch.randn(2, *large.input_shape, generator=torch.manual_seed(0))
    with torch.no_grad():
        assert network.eval()(images).isfinite().all()
