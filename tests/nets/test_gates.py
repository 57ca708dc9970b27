import numpy as np
import pytest
import torch
from torch.nn import functional

from hwnas.errors import SpecError
from hwnas.nets import ElasticNetwork, gate_gradients, gene_span, shape_genes
from hwnas.spaces import space

STEP = 1e-6


def gated_loss(network, images, genes, gene, value, gates, criterion):
    """The loss where the gene's span gives ``g_a * own + g_b * alternative``."""
    span = gene_span(network.space, gene)
    changed = [*genes]
    changed[gene] = value
    output = images
    for index in range(span.start):
        output = network.run_slot(index, output, genes)
    own = other = output
    for index in span:
        own = network.run_slot(index, own, genes)
        other = network.run_slot(index, other, changed)
    output = gates[0] * own + gates[1] * other
    for index in range(span.stop, len(network.slots)):
        output = network.run_slot(index, output, genes)
    return float(criterion(output))


@pytest.mark.parametrize("name", ["resnet-32"])
def test_gradients_are_the_slopes_of_the_loss_in_the_gates(name):
    own = space(name)
    network = ElasticNetwork(own, seed=2).double()
    rng = np.random.default_rng(0)
    genes = own.sample(rng, 1)[0].tolist()
    images = torch.randn(6, *own.input_shape(genes), generator=torch.manual_seed(0)).double()
    labels = torch.arange(6) % own.classes

    def criterion(logits):
        return functional.cross_entropy(20 * logits, labels)

    free = [gene for gene in range(own.length) if gene not in shape_genes(own)]
    alternatives = {
        gene: (genes[gene] + 1) % len(own.choices[gene].values)
        for gene in rng.choice(free, 2, replace=False).tolist()
    }
    loss, found = gate_gradients(network, images, genes, alternatives, criterion)
    assert all(value.grad is None for value in network.parameters())
    with torch.no_grad():
        assert loss == pytest.approx(float(criterion(network(images, genes))), rel=1e-9)
        assert found.keys() == alternatives.keys()
        for gene, value in alternatives.items():
            slopes = []
            for offset in ((STEP, 0), (0, STEP)):
                high, low = (
                    gated_loss(
                        network,
                        images,
                        genes,
                        gene,
                        value,
                        (1 + sign * offset[0], sign * offset[1]),
                        criterion,
                    )
                    for sign in (1, -1)
                )
                slopes.append((high - low) / (2 * STEP))
            assert found[gene] == pytest.approx(slopes, rel=1e-3, abs=1e-5)
        assert max(abs(slope) for pair in found.values() for slope in pair) > 1e-3


@pytest.mark.parametrize("name", ["mobilenet-32", "resnet-32"])
def test_resolution_and_width_change_shapes(name):
    own = space(name)
    assert shape_genes(own) == (0, 1)


def test_an_alternative_for_an_unknown_gene_is_refused():
    own = space("resnet-32")
    genes = [0] * own.length
    images = torch.zeros(2, *own.input_shape(genes))
    with pytest.raises(SpecError, match="received an alternative"):
        gate_gradients(ElasticNetwork(own), images, genes, {99: 0}, torch.sum)
