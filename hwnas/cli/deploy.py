"""From finalists to deployed networks: trained longer, exported, checked, measured together."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hwnas._version import __version__
from hwnas.cli.common import progress, target_of
from hwnas.errors import PromiseError, RequestError, RuntimeFailure
from hwnas.export.layers_onnx import architecture_bytes
from hwnas.export.trained import check_parity, max_abs_error, network_to_onnx
from hwnas.files import write_bytes
from hwnas.nets import Network
from hwnas.profiles import DeviceProfile, Measurement
from hwnas.profiling.models import measure_models
from hwnas.spaces import Architecture
from hwnas.targets import Target
from hwnas.training import ImageData, Recipe, train

PARITY_IMAGES = 16
MOST_THREADS = 4


@dataclass(frozen=True)
class Candidate:
    """A network to deploy, by the name that it has in the results."""

    name: str
    architecture: Architecture


def measured_models(
    profile: DeviceProfile, target: Target, models: Mapping[str, bytes], label: str
) -> dict[str, Measurement]:
    """Latencies of models on a device, all in the same rounds.

    Raises:
        RuntimeFailure: A model could not be measured.
    """
    with progress(label) as bar:
        found, failures, _ = measure_models(profile, target, models, on_progress=bar.update)
        bar.update(1.0)
    if failures:
        name, reason = next(iter(failures.items()))
        raise RuntimeFailure(f"'{name}' could not be measured: {reason}")
    return found


def measured_architectures(
    profile: DeviceProfile, networks: Mapping[str, Architecture]
) -> dict[str, float]:
    """Latencies, ms, of architectures; random weights cost what trained ones cost."""
    models = {name: architecture_bytes(item) for name, item in networks.items()}
    label = f"measuring the finalists on {profile.device.name}"
    measured = measured_models(profile, target_of(profile), models, label)
    return {name: item.latency_ms for name, item in measured.items()}


class Deployer:
    """Trains, exports and measures networks the same way.

    Args:
        profile: The device.
        data: What they are trained on.
        recipe: How.
        folder: Where checkpoints and models go.
        limit_ms: The limit that the measured latency is held against.
    """

    def __init__(
        self, profile: DeviceProfile, data: ImageData, recipe: Recipe, folder: Path, limit_ms: float
    ) -> None:
        # Small networks gain nothing from more.
        torch.set_num_threads(min(MOST_THREADS, torch.get_num_threads()))
        self.profile = profile
        self.data = data
        self.recipe = recipe
        self.folder = folder
        self.limit_ms = limit_ms
        self._target = target_of(profile)
        self._runtime = self._target.runtime

    def measure(self, models: Mapping[str, bytes], label: str) -> dict[str, Measurement]:
        """Latencies of models, all in the same rounds.

        Raises:
            RuntimeFailure: A model could not be measured.
        """
        return measured_models(self.profile, self._target, models, label)

    def deploy(self, candidates: Sequence[Candidate]) -> list[dict[str, Any]]:
        """Train, export, check and measure; one row per candidate, in their order.

        The first one's model is ``best.onnx`` in the folder.

        Raises:
            PromiseError: An exported model does not compute what torch computes.
        """
        rows: list[dict[str, Any]] = []
        models: dict[str, bytes] = {}
        with progress("training") as bar:
            for position, item in enumerate(candidates):
                row, models[item.name] = self._trained(
                    item,
                    lambda share, position=position, item=item: bar.update(
                        (position + share) / len(candidates), f"training {item.name}"
                    ),
                )
                rows.append(row)
            bar.update(1.0)
        measured = self.measure(models, "measuring the deployed networks")
        for row in rows:
            found = measured[row["name"]]
            row |= {
                "measured_ms": found.latency_ms,
                "measured_low_ms": found.low_ms,
                "measured_high_ms": found.high_ms,
                "verdict": found.verdict,
                "feasible": found.latency_ms <= self.limit_ms,
            }
        write_bytes(self.folder / "best.onnx", models[candidates[0].name])
        return rows

    def _checkpoint(self, architecture: Architecture) -> Path:
        """Where the weights of a network are, trained by this recipe."""
        recipe = json.dumps(self.recipe.to_json(), sort_keys=True).encode()
        name = f"{architecture.digest}-{hashlib.sha256(recipe).hexdigest()[:8]}.pt"
        return self.folder / "checkpoints" / name

    def _trained(self, item: Candidate, report: Any) -> tuple[dict[str, Any], bytes]:
        network = Network(item.architecture, seed=self.recipe.seed)
        result = train(
            network,
            self.data,
            self.recipe,
            checkpoint=self._checkpoint(item.architecture),
            on_epoch=lambda epoch: report(epoch.epoch / self.recipe.epochs),
        )
        metadata = {
            "hwnas.version": __version__,
            "hwnas.architecture": json.dumps(item.architecture.to_json(), sort_keys=True),
            "hwnas.data": self.data.name,
            "hwnas.device": self.profile.device.name,
            "hwnas.limit_ms": f"{self.limit_ms:g}",
            "hwnas.validation_accuracy": f"{result.accuracy:.4f}",
            "hwnas.test_accuracy": f"{result.test_accuracy:.4f}",
        }
        model = network_to_onnx(network, metadata)
        channels, height, width = item.architecture.input_shape
        images = self.data.tensor("test", (height, width), channels)[:PARITY_IMAGES]
        error = max_abs_error(network, model, self._run, images)
        check_parity(error)
        if self._runtime.metadata(model) != metadata:
            raise PromiseError("the runtime does not read the model's metadata back as written")
        return {
            "name": item.name,
            "digest": item.architecture.digest,
            "accuracy": result.accuracy,
            "test_accuracy": result.test_accuracy,
            "macs": item.architecture.macs,
            "parameters": item.architecture.parameters,
            "max_abs_error": error,
            "epochs": result.epochs,
        }, model

    def verify(self, model: bytes, architecture: dict[str, Any]) -> tuple[float, float]:
        """How far an exported model is from its checkpoint in torch, and its test accuracy.

        Args:
            model: Serialised ONNX.
            architecture: The architecture as plain values.

        Raises:
            RequestError: The checkpoint is gone or of another training.
        """
        own = Architecture.from_json(architecture)
        path = self._checkpoint(own)
        if not path.exists():
            raise RequestError(
                f"the winner's weights '{path}' are gone; run the search again with --resume"
            )
        network = Network(own, seed=self.recipe.seed)
        # The training is finished, so this only reads the weights.
        train(network, self.data, self.recipe, checkpoint=path)
        channels, height, width = own.input_shape
        images = self.data.tensor("test", (height, width), channels)
        labels = self.data.labels("test").numpy()
        logits = [self._run(model, {"input": image[None].numpy()})["output"] for image in images]
        top1 = float((np.concatenate(logits).argmax(axis=1) == labels).mean())
        return max_abs_error(network, model, self._run, images[:PARITY_IMAGES]), top1

    def _run(
        self, model: bytes, feeds: Mapping[str, NDArray[Any]]
    ) -> dict[str, NDArray[np.float32]]:
        return self._runtime.run(model, feeds)
