import numpy as np
import torch

from hwnas.nets.hypernet_gnn import GatedGraphNetwork
from hwnas.nets.hypernet_graph import BINS, FIELDS, graph_of
from hwnas.spaces import space

MICRO = space("micro")


def graphs(count, seed=0):
    genes = MICRO.sample(np.random.default_rng(seed), count).tolist()
    return [graph_of(MICRO.decode(own)) for own in genes]


def network(hidden=8):
    return GatedGraphNetwork(hidden, torch.Generator().manual_seed(1))


def one_at_a_time(own, graph):
    """GHN-2's equations 3 and 4, node by node."""
    sizes = own.sizes.weight.view(FIELDS, BINS, -1)[range(FIELDS), graph.sizes].sum(1)
    states = list(own.kinds(torch.from_numpy(graph.kinds)) + sizes / FIELDS**0.5)
    count = len(states)
    for order, distances in (
        (range(count), graph.distances),
        (reversed(range(count)), graph.distances.T),
    ):
        for node in order:
            message = torch.zeros_like(states[node])
            for other in np.flatnonzero(distances[node]):
                distance = int(distances[node, other])
                if distance == 1:
                    message = message + own.near(states[other])
                else:
                    message = message + own.far(states[other]) / distance
            states[node] = own.gate(message[None], states[node][None])[0]
    return own.norm(torch.stack(states))


def test_levels_give_what_one_node_at_a_time_gives():
    own, (graph,) = network(), graphs(1)
    with torch.no_grad():
        torch.testing.assert_close(own([graph]), one_at_a_time(own, graph), rtol=1e-4, atol=1e-5)


def test_architectures_do_not_see_each_other():
    own, several = network(), graphs(3)
    with torch.no_grad():
        together = own(several)
        apart = torch.cat([own([graph]) for graph in several])
    torch.testing.assert_close(together, apart, rtol=1e-4, atol=1e-5)


def test_states_tell_where_a_layer_stands():
    (graph,) = graphs(1)
    with torch.no_grad():
        states = network()([graph])
    norms = np.flatnonzero(graph.kinds == np.bincount(graph.kinds).argmax())
    assert len(norms) > 3
    assert torch.pdist(states[norms]).min() > 1e-3


def test_the_seed_decides_and_the_global_generator_does_not():
    torch.manual_seed(5)
    first = network().state_dict()
    torch.manual_seed(6)
    again = network().state_dict()
    other = GatedGraphNetwork(8, torch.Generator().manual_seed(2)).state_dict()
    assert all(torch.equal(value, again[name]) for name, value in first.items())
    assert not torch.equal(first["near.0.weight"], other["near.0.weight"])
