"""``hwnas fit``: fit again from what is measured."""

from typing import Annotated

import typer

from hwnas.cli.common import Json, print_json
from hwnas.cli.profile import fitted, show_accuracy


def fit(
    name: Annotated[str, typer.Argument(help="Name of the device.")], as_json: Json = False
) -> None:
    """Fit the predictor of a device again from its measurements."""
    from hwnas.profiles import DeviceProfile

    result = fitted(DeviceProfile.open(name))
    if as_json:
        print_json({"device": name, "accuracy": result})
    else:
        show_accuracy(result)
