import numpy as np
import pytest
import torch

from hwnas.nets import Network
from hwnas.nets.rescale import rescale
from hwnas.spaces import space


@pytest.mark.parametrize("name", ["micro", "mobilenet-32", "resnet-32", "vit-32", "nasbench201"])
def test_the_size_of_new_weights_changes_nothing_that_is_computed(name, trained, deviation):
    own = space(f"{name}:image_size=16")
    architecture = own.decode(own.sample(np.random.default_rng(0), 1)[0])
    large, changed = trained(architecture), trained(architecture)
    with torch.no_grad():
        for network in (large, changed):
            for value in network.parameters():
                if value.ndim == 4:
                    value.mul_(3)
    fresh = Network(architecture, seed=5)
    rescale(changed, fresh)
    # Only epsilon tells the scales apart: 1e-5 beside variances near 0.1, in some twenty norms.
    assert deviation(large, changed) < 5e-3
    norms = {path for path, module in changed.named_modules() if path.endswith(".bn")}
    before = {path.removesuffix("bn") + "conv.weight" for path in norms}
    for path, value in changed.named_parameters():
        reference = (fresh if path in before else large).get_parameter(path)
        torch.testing.assert_close(value.norm(), reference.norm())
