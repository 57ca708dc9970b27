"""``hwnas fit``: fit again from what is measured."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwnas.cli.common import Json, check_device, note, print_json
from hwnas.cli.profile import fitted, show_accuracy
from hwnas.errors import RequestError, WorkError

if TYPE_CHECKING:
    from hwnas.profiles import DeviceProfile

JUDGED = (
    "count",
    "mape_pct",
    "within_5_pct",
    "within_10_pct",
    "spearman",
    "kendall",
    "left_out_error_pct",
    "residual_line",
    "residual_trees",
    "baselines",
)
"""What is said of the networks that were left out; ``null`` where too few were."""


def fit(
    name: Annotated[str, typer.Argument(help="Name of the device.")],
    lenders: Annotated[
        str | None,
        typer.Option("--from", help="Devices to borrow from where little is measured: A,B,…"),
    ] = None,
    max_error_pct: Annotated[
        float,
        typer.Option(
            "--max-error-pct", min=0.0, help="With --from: the error that is borne, per cent."
        ),
    ] = 10.0,
    as_json: Json = False,
) -> None:
    """Fit the predictor of a device again from its measurements."""
    from hwnas.profiles import DeviceProfile

    held = DeviceProfile.open(name)
    check_device(held)
    if lenders is None:
        result = fitted(held)
    else:
        from hwnas.cli.tables import names_of

        result = _borrowed(held, names_of("--from", lenders), max_error_pct)
    if as_json:
        print_json({"device": name, "accuracy": result})
        return
    if "borrowed_from" in result:
        note(
            f"borrowed from {result['borrowed_from']}; error on {result['fitted_on']} networks, "
            f"each predicted without it: {result['cross_validated_error_pct']:.1f} %"
        )
    if result["mape_pct"] is not None:
        show_accuracy(result)


def _borrowed(held: "DeviceProfile", lenders: list[str], max_error_pct: float) -> dict[str, Any]:
    """Fit with the help of other devices, keep it, and say how good it is.

    Raises:
        RequestError: A device is to borrow from itself.
        WorkError: The error is above the limit; nothing is kept.
    """
    from hwnas.cli.device import latency_range
    from hwnas.predictors.borrow import Source, borrow
    from hwnas.predictors.evaluation import LEAST_JUDGED, evaluate, noise_floor_pct
    from hwnas.profiles import DeviceProfile
    from hwnas.profiling.bags import profiled_bags

    name, runtime = held.device.name, held.device.runtime
    if name in lenders:
        raise RequestError(f"device '{name}' cannot borrow from itself; name others in --from")
    sources = {}
    for lender in lenders:
        profile = DeviceProfile.open(lender)
        check_device(profile)
        lent = profile.read()
        sources[lender] = Source(lent, profiled_bags(lent, runtime))
    records = held.read()
    bags = profiled_bags(records, runtime)
    found = borrow(records, bags, sources)
    more = found.needs_more(max_error_pct)
    if more is not None:
        spaces = sorted({item.space for item in bags.networks})
        # Every fourth network that is measured is kept out of fitting.
        total = max(8, -(-4 * (found.networks + more) // 3))
        raise WorkError(
            f"with the help of {found.source} the error on {found.networks} networks, each "
            f"predicted without it, is {found.cross_validated_error_pct:.1f} %, above "
            f"{max_error_pct:g} %; needs about {more} more networks: hwnas profile {name} --space "
            f"{spaces[0] if spaces else 'SPACE'} --networks {total} --resume"
        )
    result: dict[str, Any] = {
        # Of fewer networks than judge there is nothing to say.
        **dict.fromkeys(JUDGED),
        "noise_floor_pct": noise_floor_pct(bags.networks),
        "borrowed_from": found.source,
        "factor": found.factor,
        "keeps_residual": found.keeps_residual,
        "fitted_on": found.networks,
        "cross_validated_error_pct": found.cross_validated_error_pct,
    }
    if sum(item.judged for item in bags.networks) >= LEAST_JUDGED:
        result |= evaluate(found.predictor, bags)
    result["networks_ms"] = latency_range([n.measurement.latency_ms for n in bags.networks])
    found.predictor.save(held.predictor_path)
    return result
