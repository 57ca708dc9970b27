"""The gated graph network of a hypernetwork: states of nodes, passed along the data flow."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hwnas.nets.hypernet_graph import BINS, FIELDS, KINDS, ArchitectureGraph, Indices


@dataclass(frozen=True, eq=False)
class Pass:
    """The order in which one pass updates nodes, and what each then hands on.

    Args:
        levels: Nodes that are updated together, in order: none of a level reads another.
        direct: By level, ``(nodes, in level)``: 1 where a node reads one of the level.
        virtual: The same for nodes that are further, 1/distance.
    """

    levels: tuple[Tensor, ...]
    direct: tuple[Tensor, ...]
    virtual: tuple[Tensor, ...]


def passes(graphs: Sequence[ArchitectureGraph]) -> tuple[Pass, Pass]:
    """The forward and the backward pass over several graphs, which share no edge."""
    total = sum(len(graph.kinds) for graph in graphs)
    near = np.zeros((total, total), dtype=np.float32)
    far = np.zeros((total, total), dtype=np.float32)
    start = 0
    for graph in graphs:
        own = slice(start, start + len(graph.kinds))
        near[own, own] = graph.distances == 1
        with np.errstate(divide="ignore"):
            far[own, own] = np.where(graph.distances > 1, 1 / graph.distances, 0)
        start = own.stop
    depths = np.concatenate([graph.depths for graph in graphs])
    heights = np.concatenate([graph.heights for graph in graphs])
    return _pass(depths, near, far), _pass(heights, near.T, far.T)


def _pass(steps: Indices, near: NDArray[np.float32], far: NDArray[np.float32]) -> Pass:
    levels = [np.flatnonzero(steps == step) for step in range(steps.max() + 1)]
    return Pass(
        tuple(torch.from_numpy(level) for level in levels),
        tuple(torch.from_numpy(near[:, level]) for level in levels),
        tuple(torch.from_numpy(far[:, level]) for level in levels),
    )


class GatedGraphNetwork(nn.Module):
    """States of all nodes from their kinds, their sizes and each other.

    As GHN-2 (Knyazev et al., 2021, equations 3 and 4): one pass over the nodes in
    topological order and one in reverse, in which each updates its state by a gated
    recurrent unit from the sum of what its neighbours, already updated in this pass, hand
    on; those that are further away (virtual edges) hand on something else, divided by their
    distance. The nodes of one depth, in all architectures at once, do not read each other and
    are updated together: the result is that of one at a time, in a tenth of the time.

    Args:
        hidden: Numbers in a state.
        generator: Source of the initial weights.
    """

    def __init__(self, hidden: int, generator: torch.Generator) -> None:
        super().__init__()
        self.kinds = nn.Embedding(len(KINDS), hidden)
        self.sizes = nn.Embedding(FIELDS * BINS, hidden)
        self.near = nn.Sequential(
            nn.Linear(hidden, hidden // 2), nn.ReLU(), nn.Linear(hidden // 2, hidden)
        )
        self.far = nn.Sequential(
            nn.Linear(hidden, hidden // 2), nn.ReLU(), nn.Linear(hidden // 2, hidden)
        )
        self.gate = nn.GRUCell(hidden, hidden)
        self.norm = nn.LayerNorm(hidden)
        draw(self, generator)
        with torch.no_grad():
            # Like layers of different architectures so begin with like weights, as in a network
            # that shares them; from states that all differ, no features arise in common.
            self.gate.bias_ih[hidden : 2 * hidden] = KEPT

    def forward(self, graphs: Sequence[ArchitectureGraph]) -> Tensor:
        """States ``(nodes of all graphs, hidden)``, normalised."""
        kinds = torch.from_numpy(np.concatenate([graph.kinds for graph in graphs]))
        sizes = torch.from_numpy(np.concatenate([graph.sizes for graph in graphs]))
        # A table for each field, all in one. Their sum has the variance of one embedding.
        tables = sizes + BINS * torch.arange(FIELDS)
        states = self.kinds(kinds) + self.sizes(tables).sum(1) / FIELDS**0.5
        for own in passes(graphs):
            states = self._passed(states, own)
        normed: Tensor = self.norm(states)
        return normed

    def _passed(self, states: Tensor, own: Pass) -> Tensor:
        inbox = torch.zeros_like(states)
        updated = []
        for level, near, far in zip(own.levels, own.direct, own.virtual, strict=True):
            state = self.gate(inbox[level], states[level])
            updated.append(state)
            inbox = torch.addmm(inbox, near, self.near(state))
            inbox = torch.addmm(inbox, far, self.far(state))
        order = torch.cat(own.levels)
        return torch.cat(updated)[torch.argsort(order)]


KEPT = 3.0
"""Bias of the gate with which a state is kept: it begins with 95 % of itself."""


@torch.no_grad()
def draw(module: nn.Module, generator: torch.Generator) -> None:
    """Draw a module's weights from a generator instead of torch's global one.

    Matrices keep the variance of what they read (fan-in); embeddings have a variance of 1;
    vectors start at zero, but for those of norms.
    """
    for own in module.modules():
        if isinstance(own, nn.Embedding):
            own.weight.normal_(generator=generator)
        elif isinstance(own, nn.Linear):
            own.weight.normal_(0, own.in_features**-0.5, generator=generator)
            own.bias.zero_()
        elif isinstance(own, nn.GRUCell):
            for weight in (own.weight_ih, own.weight_hh):
                weight.normal_(0, own.hidden_size**-0.5, generator=generator)
            own.bias_ih.zero_()
            own.bias_hh.zero_()
