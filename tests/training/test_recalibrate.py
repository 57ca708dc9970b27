import pytest
import torch

from hwnas.errors import DataError, ShapeError
from hwnas.nets import Network
from hwnas.nets.layers import Statistics, apply_layer
from hwnas.spaces import space
from hwnas.spaces.architecture import Architecture
from hwnas.spaces.blocks import BlockSpec
from hwnas.spaces.layers import BatchNorm
from hwnas.training.recalibrate import recalibrate

CONV = BlockSpec.of("conv", channels=4, kernel=3, stride=1, activation="relu")
TWO = Architecture((3, 6, 6), (CONV, CONV, BlockSpec.of("classifier", classes=2)))


def images(count, seed=0, shape=TWO.input_shape):
    return 2 + torch.randn(count, *shape, generator=torch.Generator().manual_seed(seed))


def statistics(network):
    return {name: value.clone() for name, value in network.named_buffers()}


def test_statistics_are_the_means_over_the_batches():
    network, batch = Network(TWO, seed=1), images(10)
    for value in network.buffers():
        value.fill_(99)
    recalibrate(network, batch, batch_size=4)
    found = statistics(network)
    # 4, 3 and 3 images, weighed as such; the second norm sees batches that the first normalised.
    sums = {name: torch.zeros_like(value) for name, value in found.items()}
    for part in batch.tensor_split(3):
        kept = []

        def look(layer, inputs, parameters, state, kept=kept):
            if isinstance(layer, BatchNorm):
                kept.append(inputs[0])
            return apply_layer(layer, inputs, parameters)

        with torch.no_grad():
            network.interpret(part, look)
        for position, received in enumerate(kept):
            prefix = f"blocks.{position}.conv.bn.running_"
            sums[prefix + "mean"] += received.mean((0, 2, 3)) * len(part) / 10
            sums[prefix + "var"] += received.var((0, 2, 3)) * len(part) / 10
    assert len(found) == 4
    for name, value in found.items():
        torch.testing.assert_close(value, sums[name], rtol=1e-5, atol=1e-6)


def test_one_batch_gives_what_torch_does_with_a_momentum_of_one():
    network, batch = Network(TWO, seed=1), images(8)
    expected = Network(TWO, seed=1).train()

    def whole(layer, inputs, parameters, state):
        if isinstance(layer, BatchNorm):
            mean, variance = state.mean.zero_(), state.variance.zero_()
            layer_output = apply_layer(layer, inputs, parameters, Statistics(mean, variance, True))
            # torch moves a tenth of the way.
            mean.mul_(10), variance.mul_(10)
            return layer_output
        return apply_layer(layer, inputs, parameters)

    with torch.no_grad():
        expected.interpret(batch, whole)
    recalibrate(network, batch)
    for name, value in expected.named_buffers():
        torch.testing.assert_close(network.get_buffer(name), value, rtol=1e-5, atol=1e-6)


def test_weights_mode_and_gradients_stay():
    network = Network(TWO, seed=1).train()
    before = [value.clone() for value in network.parameters()]
    recalibrate(network, images(8))
    assert network.training
    assert all(map(torch.equal, before, network.parameters()))
    assert all(value.requires_grad and value.grad is None for value in network.parameters())


def test_it_makes_evaluation_agree_with_training():
    own = space("resnet-32:image_size=16")
    network = Network(own.decode([0] * own.length), seed=1)
    batch = images(64, shape=own.input_shape([0] * own.length))
    with torch.no_grad():
        wanted = network.train()(batch)
        before = network.eval()(batch)
        recalibrate(network, batch)
        after = network(batch)
    assert (before - wanted).norm() > 0.2 * wanted.norm()
    # They differ by the bias of the variance of a batch.
    assert (after - wanted).norm() < 0.01 * wanted.norm()


def test_networks_without_batch_norm_pass():
    own = space("vit-32")
    network = Network(own.decode([0] * own.length))
    before = statistics(network)
    recalibrate(network, torch.zeros(2, *own.input_shape([0] * own.length)))
    assert before == {} == statistics(network)


def test_no_image_is_alone_in_a_batch():
    pixel = Architecture((3, 1, 1), (CONV, BlockSpec.of("classifier", classes=2)))
    network = Network(pixel, seed=1)
    recalibrate(network, images(3, shape=pixel.input_shape), batch_size=2)
    assert all(value.isfinite().all() for value in network.buffers())


def test_what_cannot_be_estimated_is_refused():
    network = Network(TWO)
    with pytest.raises(ShapeError, match=r"\(N, 3, 6, 6\), received \(4, 3, 5, 5\)"):
        recalibrate(network, torch.zeros(4, 3, 5, 5))
    for count, size in ((1, 256), (8, 1)):
        with pytest.raises(DataError, match="at least 2"):
            recalibrate(network, images(count), batch_size=size)
