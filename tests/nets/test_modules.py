import pytest
import torch

from hwnas.errors import SpecError
from hwnas.nets import ElasticNetwork, Network, inherit
from hwnas.nets.modules import own_module
from hwnas.spaces import Architecture, BlockSpec, space
from hwnas.spaces.module_layers import OwnModule


def architecture(name, **changes):
    arguments = {"path": f"{name}:Pixels", "channels": 8, "stride": 2} | changes
    specs = (
        BlockSpec.of("conv", channels=4, kernel=3, stride=1, activation="relu"),
        BlockSpec.of("module", **arguments),
        BlockSpec.of("classifier", classes=3),
    )
    return Architecture((3, 8, 8), specs)


def test_a_module_gets_its_weights_from_the_seed_and_leaves_the_global_state(own_blocks):
    layer = OwnModule(f"{own_blocks}:Pixels", 8, 1, (("heads", 4),))
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    first, same, other = (own_module(layer, (4, 8, 8), seed) for seed in (0, 0, 1))
    assert torch.equal(torch.rand(3), wanted)
    assert first.heads == 4
    assert torch.equal(first.mixed.weight, same.mixed.weight)
    assert not torch.equal(first.mixed.weight, other.mixed.weight)


def test_a_module_is_trained_within_a_network(own_blocks):
    own = architecture(own_blocks)
    network, same = Network(own, seed=2), Network(own, seed=2)
    assert sum(value.numel() for value in network.parameters()) == own.parameters
    names = {f"blocks.1.{name}" for name in own.placed[1].graph.parameter_shapes}
    assert names <= dict(network.named_parameters()).keys()
    images = torch.randn(6, 3, 8, 8, generator=torch.manual_seed(0))
    assert torch.equal(network.eval()(images), same.eval()(images))
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    losses = []
    for _ in range(8):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(network.train()(images), torch.arange(6) % 3)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    changed = network.blocks[1].own
    assert not torch.equal(changed.mixed.weight, same.blocks[1].own.mixed.weight)
    # Its batch norm keeps running statistics, as the layers' own do.
    assert changed.norm.running_mean.abs().max() > 0


def test_a_wider_network_inherits_around_a_module(own_blocks):
    parent = Network(architecture(own_blocks), seed=1)
    child, report = inherit(parent, architecture(own_blocks, channels=16))
    assert not report.preserved
    with torch.no_grad():
        assert child.eval()(torch.zeros(1, 3, 8, 8)).isfinite().all()


def test_a_supernet_says_that_it_cannot_share_a_module(own_blocks, tmp_path):
    path = tmp_path / "own.toml"
    path.write_text(f"""
input = {{ image_size = 8, classes = 3 }}
stages = [{{ block = "{own_blocks}:Pixels", channels = 8, depths = 1, heads = [1, 2] }}]
head = {{ block = "classifier" }}
""")
    with pytest.raises(SpecError, match="'users_blocks:Pixels', whose weights cannot be shared"):
        ElasticNetwork(space(str(path)))
