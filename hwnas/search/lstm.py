"""A policy that is a recurrent network: it emits one choice after the other."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hwnas.search.adam import Parameters
from hwnas.search.constraint import Floats
from hwnas.spaces.space import Genotypes, SearchSpace

Array = NDArray[Any]
INITIAL = 0.1
"""Weights are uniform between this and its negative at first (Pham et al., 2018)."""


class Step(NamedTuple):
    """What one step of the network leaves for its gradient."""

    joined: Array
    gates: Array
    before: Array
    cell: Array
    hidden: Array
    p: Array


class LstmPolicy:
    """An LSTM of one layer (Hochreiter and Schmidhuber, 1997), in numpy.

    At each step it sees an embedding of the value that was chosen last (at the first, a
    learned vector) and gives a softmax over the values of the next choice. A choice that
    does not count is passed through with its canonical value 0. The gradient is written out
    by hand: torch would take a second to import, and 16 units are faster without it.

    Args:
        space: The space.
        rng: Source of the first weights.
        units: Size of the state and of the embeddings.
    """

    def __init__(self, space: SearchSpace, rng: np.random.Generator, units: int) -> None:
        self.space = space
        self.units = units
        # Rows of a choice's values in the tables over all values.
        self._first = np.concatenate([[0], space.cardinalities.cumsum()])
        values = int(self._first[-1])
        shapes = {
            "start": (units,),
            "embedding": (values, units),
            "recurrent": (2 * units, 4 * units),
            "recurrent_bias": (4 * units,),
            "head": (values, units),
            "head_bias": (values,),
        }
        self.parameters: Parameters = {
            name: rng.uniform(-INITIAL, INITIAL, shape).astype(np.float32)
            for name, shape in shapes.items()
        }

    def _rows(self, index: int) -> slice:
        return slice(int(self._first[index]), int(self._first[index + 1]))

    def _quarters(self, gates: Array) -> list[Array]:
        """Gates that let in, keep and let out, and what is proposed to be let in."""
        return [gates[:, k * self.units : (k + 1) * self.units] for k in range(4)]

    def _step(self, index: int, last: Genotypes | None, before: Array, hidden: Array) -> Step:
        """One step for ``n`` sequences, given the values ``(n,)`` that were chosen last."""
        own = self.parameters
        n = len(before)
        seen = (
            np.broadcast_to(own["start"], (n, self.units))
            if last is None
            else own["embedding"][self._first[index - 1] + last]
        )
        joined = np.concatenate([seen, hidden], axis=1)
        gates = joined @ own["recurrent"] + own["recurrent_bias"]
        inner = slice(3 * self.units, None)
        proposed = np.tanh(gates[:, inner])
        gates = 1 / (1 + np.exp(-gates))
        gates[:, inner] = proposed
        enter, keep, leave, proposed = self._quarters(gates)
        cell = keep * before + enter * proposed
        hidden = leave * np.tanh(cell)
        logits = hidden @ own["head"][self._rows(index)].T + own["head_bias"][self._rows(index)]
        weights = np.exp(logits - logits.max(axis=1, keepdims=True))
        return Step(
            joined, gates, before, cell, hidden, weights / weights.sum(axis=1, keepdims=True)
        )

    def _start(self, count: int) -> Array:
        return np.zeros((count, self.units), self.parameters["start"].dtype)

    def sample(self, rng: np.random.Generator, count: int) -> Genotypes:
        """Canonical genotypes ``(count, choices)``."""
        found = np.zeros((count, self.space.length), np.int64)
        cell = hidden = self._start(count)
        last = None
        for index, drawn in enumerate(rng.random((self.space.length, count))):
            step = self._step(index, last, cell, hidden)
            chosen = (drawn[:, None] >= step.p.cumsum(axis=1, dtype=np.float64)).sum(axis=1)
            found[:, index] = np.minimum(chosen, step.p.shape[1] - 1)
            # Parents come before their children, so what counts here is known here.
            found[:, index] = self.space.canonical(found)[:, index]
            cell, hidden, last = step.cell, step.hidden, found[:, index]
        return found

    def _unrolled(self, genotypes: Genotypes) -> list[Step]:
        steps = []
        cell = hidden = self._start(len(genotypes))
        for index in range(self.space.length):
            last = genotypes[:, index - 1] if index else None
            steps.append(self._step(index, last, cell, hidden))
            cell, hidden = steps[-1].cell, steps[-1].hidden
        return steps

    def log_probability(self, genotypes: Genotypes) -> Floats:
        """Logarithm of the probability of canonical genotypes, ``(n,)``."""
        active = self.space.active(genotypes)
        own = np.arange(len(genotypes))
        found: Floats = np.zeros(len(genotypes))
        for index, step in enumerate(self._unrolled(genotypes)):
            found += np.where(active[:, index], np.log(step.p[own, genotypes[:, index]]), 0.0)
        return found

    def gradient(self, genotypes: Genotypes, weights: Floats, entropy: float) -> Parameters:
        """Gradient of Σ weights·log p(genotype) + entropy·Σ H; see the protocol.

        H is taken along the genotypes as they are; that a policy could also be moved to
        where later choices are less certain is left out, as in ENAS.
        """
        own = self.parameters
        kind = own["start"].dtype
        found = {name: np.zeros_like(value) for name, value in own.items()}
        active = self.space.active(genotypes).astype(kind)
        steps = self._unrolled(genotypes)
        # Backwards from the last choice: gradients by the state after and before each step.
        d_hidden = d_cell = self._start(len(genotypes))
        for index in reversed(range(self.space.length)):
            step, at = steps[index], self._rows(index)
            logs = np.log(np.maximum(step.p, np.finfo(kind).tiny))
            d_logits = -entropy * step.p * (logs - (step.p * logs).sum(axis=1, keepdims=True))
            d_logits -= weights[:, None].astype(kind) * step.p
            d_logits[np.arange(len(genotypes)), genotypes[:, index]] += weights.astype(kind)
            d_logits *= active[:, index, None]
            found["head"][at] += d_logits.T @ step.hidden
            found["head_bias"][at] += d_logits.sum(axis=0)
            d_hidden = d_hidden + d_logits @ own["head"][at]
            enter, keep, leave, proposed = self._quarters(step.gates)
            squashed = np.tanh(step.cell)
            d_cell = d_cell + d_hidden * leave * (1 - squashed**2)
            d_gates = np.concatenate(
                [
                    d_cell * proposed * enter * (1 - enter),
                    d_cell * step.before * keep * (1 - keep),
                    d_hidden * squashed * leave * (1 - leave),
                    d_cell * enter * (1 - proposed**2),
                ],
                axis=1,
            )
            found["recurrent"] += step.joined.T @ d_gates
            found["recurrent_bias"] += d_gates.sum(axis=0)
            d_joined = d_gates @ own["recurrent"].T
            d_seen, d_hidden = d_joined[:, : self.units], d_joined[:, self.units :]
            d_cell = d_cell * keep
            if index:
                np.add.at(
                    found["embedding"], self._first[index - 1] + genotypes[:, index - 1], d_seen
                )
            else:
                found["start"] += d_seen.sum(axis=0)
        return found
