"""The ``hwnas`` command."""

import os
import sys
from typing import Annotated

import typer

from hwnas._version import __version__
from hwnas.cli import bench, device, export, fit, measure, predict, profile, score, search, trials
from hwnas.cli.common import note
from hwnas.errors import HwnasError

INTERRUPTED = 130
"""What typer returns where Ctrl-C reached it."""

app = typer.Typer(
    name="hwnas",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Profile a device, predict latency, search architectures under a limit, export ONNX.",
)
app.add_typer(device.app, name="device")
app.add_typer(bench.app, name="bench")
app.command("measure")(measure.measure)
app.command("profile")(profile.profile)
app.command("fit")(fit.fit)
app.command("predict")(predict.predict)
app.command("search")(search.search)
app.command("trials")(trials.trials)
app.command("export")(export.export)
app.command("score")(score.score)


def _version(value: bool) -> None:
    if value:
        sys.stdout.write(f"hwnas {__version__}\n")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Options of all commands."""


def main() -> None:
    """Run the command line; errors become a line or two and an exit code."""
    debug = "--debug" in sys.argv
    # Read when torch is loaded. Threads that spin while they wait stall a training where
    # something else runs; sleeping costs next to nothing.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        code = app(standalone_mode=False)
    except HwnasError as error:
        if debug:
            raise
        note(f"error: {error}")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        code = INTERRUPTED
    except OSError as error:
        if debug:
            raise
        where = f"'{error.filename}': " if error.filename else ""
        note(f"error: {where}{error.strerror or error}; what was finished before is kept")
        sys.exit(1)
    except Exception as error:
        # Typer's own errors of usage know how to show themselves.
        show = getattr(error, "show", None)
        if show is None:
            if debug:
                raise
            note(
                f"error: {type(error).__name__}: {error}. This is a fault of hwnas; run again with "
                "'hwnas --debug …' and report what it prints."
            )
            sys.exit(1)
        show()
        sys.exit(2)
    if code == INTERRUPTED:
        note("error: interrupted; what was finished before is kept, run the command again")
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
