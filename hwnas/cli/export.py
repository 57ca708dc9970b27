"""``hwnas export``: a deployable bundle from a run."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from hwnas.cli.common import Json, folder_path, note, print_json
from hwnas.errors import PromiseError, RequestError

WANTED = {"best", "space", "data", "device", "seed", "recipe", "limit_ms"}


def export(
    run: Annotated[Path, typer.Argument(help="Folder of a finished search.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the bundle.", parser=folder_path)],
    trial: Annotated[str, typer.Option(help="Which trial; 'best' is the winner.")] = "best",
    precision: Annotated[str, typer.Option(help="fp32.")] = "fp32",
    as_json: Json = False,
) -> None:
    """Write the winner's model and what is known of it, after checking and measuring it again."""
    import hashlib

    from hwnas.cli.deploy import Deployer
    from hwnas.export.trained import check_parity
    from hwnas.files import make_folder, write_bytes, write_text
    from hwnas.kernels import parse_model
    from hwnas.profiles import DeviceProfile
    from hwnas.training import Recipe, load_data

    if precision != "fp32":
        raise RequestError(f"precision must be fp32, received '{precision}'")
    if trial != "best":
        raise RequestError(f"trial must be best: only the winner is trained; received '{trial}'")
    result = _result(run)
    try:
        payload = (run / "best.onnx").read_bytes()
    except OSError as error:
        raise RequestError(
            f"'{run / 'best.onnx'}' cannot be read: {error.strerror}; run the search again with "
            "--resume"
        ) from error
    parse_model(payload, str(run / "best.onnx"))
    make_folder(out)
    best = result["best"]
    data = load_data(result["data"], seed=result["seed"])
    deployer = Deployer(
        DeviceProfile.open(result["device"], on_wait=note),
        data,
        Recipe.from_json(result["recipe"]),
        run,
        result["limit_ms"],
    )
    difference, top1 = deployer.verify(payload, best["architecture"])
    check_parity(difference)
    measured = deployer.measure({"model.onnx": payload}, "measuring the model")["model.onnx"]
    write_bytes(out / "model.onnx", payload)
    document = {
        "model": str(out / "model.onnx"),
        "precision": precision,
        "max_abs_error": difference,
        "top1": top1,
        "measured_ms": measured.latency_ms,
        "verdict": measured.verdict,
        "limit_ms": result["limit_ms"],
        "size_bytes": len(payload),
        "sha256": hashlib.sha256(payload).hexdigest(),
    }
    described = {
        **document,
        "model": "model.onnx",
        **{key: result[key] for key in ("space", "data", "device", "seed", "recipe")},
        "architecture": best["architecture"],
        "predicted_ms": best["predicted_ms"],
        "low_ms": best["low_ms"],
        "high_ms": best["high_ms"],
        "accuracy": best["accuracy"],
        "test_accuracy": best["test_accuracy"],
    }
    write_text(out / "bundle.json", json.dumps(described, indent=1) + "\n")
    if as_json:
        print_json(document)
    else:
        note(
            f"wrote '{out}': test accuracy {100 * top1:.1f} %, {measured.latency_ms:.4f} ms "
            f"(limit {result['limit_ms']:g}), agrees with torch to {difference:.1g}"
        )
    if measured.latency_ms > result["limit_ms"]:
        raise PromiseError(
            f"the model measured {measured.latency_ms:.4g} ms now, above the limit of "
            f"{result['limit_ms']:g} ms"
        )


def _result(run: Path) -> dict[str, Any]:
    path = run / "result.json"
    try:
        value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        missing = sorted(WANTED - set(value)) if isinstance(value, dict) else ["an object"]
        if missing:
            raise ValueError(f"it lacks {', '.join(missing)}")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise RequestError(
            f"'{run}' holds no finished search; run 'hwnas search … --run {run}' (with --resume, "
            "if it was interrupted)"
        ) from error
    except ValueError as error:
        raise RequestError(
            f"'{path}' is broken: {error}; run the search again with --resume"
        ) from error
    return value
