import pytest
import torch
from torch.nn import functional

from hwnas.errors import SpecError
from hwnas.nets import ElasticNetwork, gate_gradients, gene_span, shape_genes
from hwnas.spaces import space

# The loss is smooth in a gate only between the kinks of ReLU, hard swish and hard sigmoid. On
# mobilenet-32, one unit that changes its sign 5e-7 from the gates' values was seen to change
# the slope by 4.5 %, because batch norm magnifies a channel that hardly varies. Double
# precision leaves the loss about 1e-14 of rounding, so a difference over 2e-7 is good to 1e-7.
STEP = 1e-7
FOUND = {"rel": 1e-5, "abs": 1e-6}

# One gene of every kind that can be gated, in both directions for the depth; the genes are those
# of the space's reference, whose stages have two blocks.
GATED = {
    "mobilenet-32": {
        "stage1.depth": 1,
        "stage3.depth": 3,
        "stage2.squeeze_excite": True,
        "stage1.block1.kernel": 7,
        "stage3.block2.expansion": 3,
    },
    "resnet-32": {
        "stage1.depth": 1,
        "stage3.depth": 3,
        "stage2.ratio": 0.5,
        "stage1.groups": 8,
    },
}


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
    return criterion(output)


@pytest.mark.parametrize("name", GATED)
def test_gradients_are_the_slopes_of_the_loss_in_the_gates(name):
    own = space(name)
    network = ElasticNetwork(own, seed=2).double()
    (reference,) = own.references.values()
    # The smallest images: the test is faster, and fewer units have kinks.
    genes = [0, *reference[1:]]
    images = torch.randn(4, *own.input_shape(genes), generator=torch.manual_seed(0)).double()

    def criterion(logits):
        return functional.cross_entropy(20 * logits, torch.arange(4))

    indices = {choice.name: index for index, choice in enumerate(own.choices)}
    alternatives = {
        indices[gated]: own.choices[indices[gated]].values.index(value)
        for gated, value in GATED[name].items()
    }
    assert all(genes[gene] != value for gene, value in alternatives.items())
    loss, found = gate_gradients(network, images, genes, alternatives, criterion)
    assert all(value.grad is None for value in network.parameters())
    assert found.keys() == alternatives.keys()
    with torch.no_grad():
        assert loss == pytest.approx(float(criterion(network(images, genes))), rel=1e-9)
    for gene, value in alternatives.items():
        # Gates that are part of the graph: no kink can disturb this comparison.
        gates = torch.tensor([1.0, 0.0], dtype=torch.float64, requires_grad=True)
        gated = gated_loss(network, images, genes, gene, value, gates, criterion)
        (slopes,) = torch.autograd.grad(gated, gates)
        assert found[gene] == pytest.approx(slopes.tolist(), rel=1e-9, abs=1e-12)
        with torch.no_grad():
            differences = []
            for step in ((STEP, 0), (0, STEP)):
                low, high = (
                    gated_loss(network, images, genes, gene, value, moved, criterion)
                    for moved in ((1 - step[0], -step[1]), (1 + step[0], step[1]))
                )
                differences.append(float(high - low) / (2 * STEP))
            # Fully opened, the gate gives the network of the changed genotype: the span is whole.
            changed = [*genes]
            changed[gene] = value
            opened = gated_loss(network, images, genes, gene, value, (0, 1), criterion)
            expected = criterion(network(images, changed))
            assert float(opened) == pytest.approx(float(expected), rel=1e-9)
        assert found[gene] == pytest.approx(differences, **FOUND)
        # The alternative's slope must count for something; the main path's may vanish, where
        # batch norm undoes the gate's scale.
        assert abs(found[gene][1]) > 1e-3


def test_a_gene_that_no_slot_of_the_path_needs_has_equal_slopes():
    own = space("mobilenet-32")
    network = ElasticNetwork(own, seed=2).double()
    genes = own.encode({"stage1.depth": 1})
    images = torch.randn(4, *own.input_shape(genes), generator=torch.manual_seed(0)).double()
    gene = [choice.name for choice in own.choices].index("stage1.block3.kernel")
    _, found = gate_gradients(
        network, images, genes, {gene: 2}, lambda logits: logits.square().sum()
    )
    assert found[gene][0] == found[gene][1]


@pytest.mark.parametrize(
    ("gene", "slots"),
    [
        ("width", range(0, 12)),
        ("stage2.depth", range(5, 8)),
        ("stage2.squeeze_excite", range(5, 8)),
        ("stage2.block2.kernel", range(6, 7)),
    ],
)
def test_a_span_reaches_from_the_first_to_the_last_slot_of_a_gene(gene, slots):
    own = space("mobilenet-32")
    index = [choice.name for choice in own.choices].index(gene)
    assert gene_span(own, index) == slots


@pytest.mark.parametrize("name", ["mobilenet-32", "resnet-32"])
def test_resolution_and_width_change_shapes(name):
    own = space(name)
    assert shape_genes(own) == (0, 1)


def test_a_gene_that_changes_shapes_cannot_be_gated():
    own = space("resnet-32")
    genes = [0] * own.length
    images = torch.zeros(2, *own.input_shape(genes))
    with pytest.raises(SpecError, match="'width' changes shapes: it cannot be gated"):
        gate_gradients(ElasticNetwork(own), images, genes, {1: 1}, torch.sum)


def test_an_alternative_for_an_unknown_gene_is_refused():
    own = space("resnet-32")
    genes = [0] * own.length
    images = torch.zeros(2, *own.input_shape(genes))
    with pytest.raises(SpecError, match="received an alternative"):
        gate_gradients(ElasticNetwork(own), images, genes, {99: 0}, torch.sum)
