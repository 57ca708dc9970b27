"""AZ-NAS: four scores of a network without training, as one by their ranks."""

import math
import time
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from scipy.stats import rankdata
from torch import Tensor
from torch.nn import functional

from hwnas.errors import SpecError
from hwnas.estimators.base import Budget, Estimate
from hwnas.estimators.batch_score import BATCH_SIZE, with_batch_statistics
from hwnas.estimators.size import MacsScore
from hwnas.nets.network import Network
from hwnas.spaces.architecture import Architecture


class Components(NamedTuple):
    """The four scores; of each, higher is better.

    Args:
        expressivity: Sum over blocks of the entropy of the principal components of
            what the block gives, nats.
        progressivity: The smallest rise of that entropy from one block to the next;
            0 in transformers, where the authors leave it out.
        trainability: Mean over blocks of ``2 − s − 1/s``, at most 0, where s is how
            much a block stretches gradients at most.
        complexity: Multiply-accumulate operations for one image.
    """

    expressivity: float
    progressivity: float
    trainability: float
    complexity: float


def az_nas(
    network: Network, generator: torch.Generator, batch_size: int = BATCH_SIZE
) -> Components:
    """The four scores of Lee and Ham, 2024, for images of noise.

    Blocks are those of the architecture, but for those that give a vector. The
    spectral norm s of a block is that of ``E[g'ᵀg]``, for random signs g in the
    shape of what it gives and their gradient g' in what it receives. Where a
    block makes the image smaller, the pixels that become one count as channels
    of that one. In a ViT tokens take the place of pixels. Cost: one forward and
    one backward pass of the batch, and eigenvalues of a matrix of channels per
    block.

    Args:
        network: Unchanged; batch norm uses the statistics of the batch.
        generator: Source of the images, then of the signs of each block.
        batch_size: Images.

    Returns:
        The scores; all but the complexity are minus infinity where a block gives
        nothing but one constant, so that no weight before it reaches the output.

    Raises:
        SpecError: There are no two blocks, one behind the other, that give images or tokens.
    """
    output = torch.randn(batch_size, *network.architecture.input_shape, generator=generator)
    entropies: list[float] = []
    fitness: list[float] = []
    tokens = False
    for block in network.blocks:
        received = output.detach().requires_grad_()
        output = block(received, with_batch_statistics)
        if output.ndim < 3:
            break
        tokens = output.ndim == 3
        if entropies and _comparable(received, output):
            fitness.append(_fitness(received, output, generator))
        entropies.append(_entropy(_places(output.detach())))
    if not fitness:
        raise SpecError(
            "az_nas compares blocks with those before them: the architecture needs two, one "
            f"behind the other, that give images or tokens; it has {len(network.blocks)} blocks"
        )
    macs = MacsScore().estimate(network.architecture, Budget()).value
    if not all(map(math.isfinite, entropies)):
        return Components(-math.inf, -math.inf, -math.inf, macs)
    rises = [after - before for before, after in pairwise(entropies)]
    return Components(
        math.fsum(entropies),
        0.0 if tokens else min(rises),
        math.fsum(fitness) / len(fitness),
        macs,
    )


def _comparable(received: Tensor, given: Tensor) -> bool:
    """Whether a block leaves images images, or as many tokens as there were."""
    return received.ndim == given.ndim and (given.ndim == 4 or received.shape[1] == given.shape[1])


def _places(features: Tensor) -> Tensor:
    """Features as ``(images × pixels or tokens, channels)``."""
    last = features.permute(0, 2, 3, 1) if features.ndim == 4 else features
    return last.flatten(0, -2)


def _entropy(places: Tensor) -> float:
    """Entropy, nats, of the shares of the principal components; minus infinity of a constant."""
    centred = (places - places.mean(0)).double()
    values = torch.linalg.eigvalsh(centred.T @ centred).clamp_min(0)
    total = values.sum()
    if not bool(total > 0):
        return -math.inf
    shares = values / total
    return -float(torch.xlogy(shares, shares).sum().item())


def _fitness(received: Tensor, given: Tensor, generator: torch.Generator) -> float:
    """``2 − s − 1/s`` for how much the way from ``given`` to ``received`` stretches gradients."""
    signs = torch.randint(0, 2, given.shape, generator=generator).to(given.dtype) * 2 - 1
    slope = torch.autograd.grad(given, received, signs)[0]
    if given.ndim == 4:
        slope = _folded(slope, given.shape[2], given.shape[3])
    matrix = (_places(slope).T @ _places(signs)).double() / len(_places(signs))
    # The largest singular value, by the smaller of the two products with the transpose.
    square = matrix @ matrix.T if matrix.shape[0] < matrix.shape[1] else matrix.T @ matrix
    stretch = math.sqrt(max(0.0, float(torch.linalg.eigvalsh(square)[-1].item())))
    return 2 - stretch - 1 / (stretch + 1e-6)


def _folded(image: Tensor, height: int, width: int) -> Tensor:
    """An image with what becomes one pixel of a smaller one as its channels.

    Padded by zeros at the lower and right edge, where its size is no multiple.

    Args:
        image: ``(N, C, H, W)``.
        height: Of the smaller image.
        width: Of the smaller image.

    Returns:
        ``(N, C × rows × columns, height, width)``.
    """
    count, channels, rows, columns = image.shape
    tall, wide = -(-rows // height), -(-columns // width)
    image = functional.pad(image, (0, wide * width - columns, 0, tall * height - rows))
    image = image.reshape(count, channels, height, tall, width, wide)
    return image.permute(0, 1, 3, 5, 2, 4).reshape(count, -1, height, width)


def log_ranks(components: Sequence[Components]) -> list[float]:
    """The score of each network of a pool: ``Σ log(rank/N)`` over the four (Lee and Ham, 2024).

    Args:
        components: Of all networks of the pool.

    Returns:
        At most 0, for one that is the best in all four; equals share their mean rank.
    """
    ranks = [rankdata(values) for values in zip(*components, strict=True)]
    return [
        math.fsum(math.log(rank / len(components)) for rank in own)
        for own in zip(*ranks, strict=True)
    ]


def pool_scores(provenances: Sequence[Mapping[str, Any]]) -> list[float]:
    """The score of each network of a pool, from the components that its estimate tells.

    Unlike the values of the estimates, these do not depend on the order in which
    they were made, nor on whether a run was cut off between them.

    Args:
        provenances: Of the estimates of an :class:`AzNasScore`.

    Returns:
        As :func:`log_ranks`; minus infinity where no weight reaches the output, NaN where an
        estimate failed and has no components.
    """
    told = [
        None
        if not own.keys() >= set(Components._fields)
        else Components(*(-math.inf if own[f] is None else own[f] for f in Components._fields))
        for own in provenances
    ]
    ranked = iter(log_ranks([own for own in told if own is not None]))
    values = [math.nan if own is None else next(ranked) for own in told]
    return [
        -math.inf if own is not None and not math.isfinite(own.expressivity) else value
        for own, value in zip(told, values, strict=True)
    ]


class AzNasScore:
    """Where each architecture stands in AZ-NAS's four scores among others.

    The score of one network has no meaning in AZ-NAS, only its ranks in a pool
    have. To score a whole pool, take the components from the provenance of its
    estimates and give them to :func:`log_ranks`. For one architecture at a time
    the value is ``Σ log(rank/(N+1))`` of its ranks among N: itself, and

    - where there is a reference, the reference. Values then compare with each
      other, whatever the order. Draw 20 or more architectures of the space.
    - otherwise, all different architectures that this object has seen. The first
      one gets the middle of the scale, log ½ each; the first few are uncertain,
      but neither favoured nor put at a disadvantage. A value holds for the time
      when it was given, and depends on what came before.

    Args:
        reference: Architectures to rank against; scored at the first estimate.
        seed: Seed of weights, images and signs.
        batch_size: Images of noise.

    Attributes:
        seen_: The components of what is ranked against, by the digest of the
            architecture.
    """

    name = "az_nas"

    def __init__(
        self,
        reference: Sequence[Architecture] = (),
        *,
        seed: int = 0,
        batch_size: int = BATCH_SIZE,
    ) -> None:
        self.reference = tuple(reference)
        self.seed = seed
        self.batch_size = batch_size
        self.seen_: dict[str, Components] = {}

    def components(self, architecture: Architecture) -> Components:
        """The four scores of a new network of an architecture, see :func:`az_nas`.

        Raises:
            SpecError: It has no two blocks to compare.
        """
        if architecture.digest in self.seen_:
            return self.seen_[architecture.digest]
        generator = torch.Generator().manual_seed(self.seed)
        return az_nas(Network(architecture, seed=self.seed), generator, self.batch_size)

    def estimate(self, architecture: Architecture, budget: Budget) -> Estimate:
        """Where one architecture stands, see the class; the budget does not matter.

        Args:
            architecture: What to score.
            budget: Ignored.

        Returns:
            The value, at most 0, and minus infinity where no weight reaches the
            output; with the components in the provenance, ``None`` where they are
            not finite, and the N of the ranks.

        Raises:
            SpecError: It has no two blocks to compare.
        """
        start = time.perf_counter()
        for item in self.reference:
            self.seen_[item.digest] = self.components(item)
        own = self.components(architecture)
        others = [found for digest, found in self.seen_.items() if digest != architecture.digest]
        if not self.reference:
            self.seen_[architecture.digest] = own
        count = len(others) + 1
        value = log_ranks([own, *others])[0] + len(own) * math.log(count / (count + 1))
        provenance = {
            "estimator": self.name,
            "seed": self.seed,
            "images": self.batch_size,
            "ranked": count,
            **{
                name: score if math.isfinite(score) else None
                for name, score in own._asdict().items()
            },
        }
        if not math.isfinite(own.expressivity):
            value = -math.inf
        return Estimate(value, time.perf_counter() - start, provenance)
