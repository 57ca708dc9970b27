"""Shared weights that are trained along sampled paths: what a gradient search moves through."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from hwnas.errors import DataError, DivergedError, RequestError
from hwnas.nets.elastic import ElasticNetwork
from hwnas.nets.gates import gate_gradients, shape_genes
from hwnas.nets.parameters import channels_last
from hwnas.spaces.space import SearchSpace
from hwnas.training.checkpoint import load_state, save_state
from hwnas.training.evaluation import check_space
from hwnas.training.images import ImageData

CLIP = 5.0


class PathTrainer:
    """An elastic network with its optimiser, and the two halves of the training images.

    Weights learn from the first half and choices from the second (Liu et al.,
    2019), so that a choice is not preferred for fitting what the weights saw.

    Args:
        space: The space.
        data: The images.
        total_steps: Steps over which the learning rate falls to zero.
        batch_size: Images of a step.
        learning_rate: The highest rate.
        seed: Seed of the weights, the halves and the batches.

    Raises:
        DataError: The classes are not those of the space, or there are too few images.
    """

    def __init__(
        self,
        space: SearchSpace,
        data: ImageData,
        *,
        total_steps: int,
        batch_size: int = 64,
        learning_rate: float = 0.05,
        seed: int = 0,
    ) -> None:
        check_space(space, data)
        self.space = space
        self.data = data
        self.seed = seed
        self.total_steps = total_steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.global_genes = shape_genes(space)
        self.network = ElasticNetwork(space, seed=seed)
        self._layout = channels_last(self.network)
        self._generator = torch.Generator().manual_seed(seed)
        self._optimiser = torch.optim.SGD(
            self.network.parameters(), lr=learning_rate, momentum=0.9, weight_decay=3e-4
        )
        order = torch.randperm(len(data.labels("train")), generator=self._generator)
        if len(order) < 4:
            raise DataError(f"data '{data.name}' has {len(order)} training images; at least 4")
        self._halves = (order[: len(order) // 2], order[len(order) // 2 :])
        self._step = 0

    def _batch(self, half: int, genotype: Sequence[int]) -> tuple[Tensor, Tensor]:
        own = self._halves[half]
        picked = own[
            torch.randint(len(own), (min(self.batch_size, len(own)),), generator=self._generator)
        ]
        channels, height, width = self.space.input_shape(genotype)
        images = self.data.tensor("train", (height, width), channels)[picked]
        images = images.contiguous(memory_format=self._layout)
        return (
            images,
            self.data.labels("train")[picked],
        )

    def weight_step(self, genotype: Sequence[int]) -> float:
        """One step of stochastic gradient descent along a path; the training loss.

        Raises:
            DivergedError: The loss is not finite.
        """
        return self._descend(genotype, lambda images: self.network(images, genotype))

    def _descend(self, genotype: Sequence[int], logits: Callable[[Tensor], Tensor]) -> float:
        """One step of the weights through any function of the images."""
        progress = min(1.0, self._step / self.total_steps)
        for group in self._optimiser.param_groups:
            group["lr"] = 0.5 * self.learning_rate * (1 + math.cos(math.pi * progress)) + 1e-4
        images, labels = self._batch(0, genotype)
        loss = functional.cross_entropy(logits(images), labels)
        value = float(loss.item())
        if not math.isfinite(value):
            raise DivergedError(f"the shared weights diverged in step {self._step + 1}")
        # Weights off the path keep no gradient, so neither momentum nor decay moves them.
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), CLIP)
        self._optimiser.step()
        self._step += 1
        return value

    def gate_step(
        self, genotype: Sequence[int], alternatives: Mapping[int, int]
    ) -> tuple[float, dict[int, tuple[float, float]]]:
        """Held-out loss along a path, and its derivatives by the gates of some choices.

        Args:
            genotype: The path.
            alternatives: By the index of a choice, the value that it could have instead.
        """
        images, labels = self._batch(1, genotype)

        def criterion(logits: Tensor) -> Tensor:
            return functional.cross_entropy(logits, labels)

        return gate_gradients(self.network, images, genotype, alternatives, criterion)

    @torch.no_grad()
    def loss(self, genotype: Sequence[int]) -> float:
        """Held-out loss along a path on one batch."""
        images, labels = self._batch(1, genotype)
        return float(functional.cross_entropy(self.network(images, genotype), labels).item())

    def save(self, path: Path) -> None:
        """Write weights, optimiser and generator, whole or not at all.

        Raises:
            StorageError: The disk is full or not writable.
        """
        save_state(
            path,
            {
                "network": self.network.state_dict(),
                "optimiser": self._optimiser.state_dict(),
                "generator": self._generator.get_state(),
                "step": self._step,
                "seed": self.seed,
            },
        )

    def load(self, path: Path) -> None:
        """Go on from what :meth:`save` wrote.

        Raises:
            StorageError: The file cannot be read.
            RequestError: It is of another seed, whose weights saw what is held out here, or
                of another space.
        """
        state = load_state(path)
        if state["seed"] != self.seed:
            raise RequestError(
                f"'{path}' has shared weights of seed {state['seed']}, this search has seed "
                f"{self.seed}; give another --run folder"
            )
        try:
            self.network.load_state_dict(state["network"])
            self._optimiser.load_state_dict(state["optimiser"])
        # What torch raises for weights of other names or shapes.
        except (RuntimeError, ValueError) as error:
            raise RequestError(
                f"'{path}' has shared weights of another space; give the space that they were "
                "trained in, or another --run folder"
            ) from error
        self._generator.set_state(state["generator"])
        self._step = int(state["step"])
