"""The option --plot: pictures of a calibration."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from qconv.cli.options import PATH
from qconv.errors import OutputError
from qconv.sentences import counted

if TYPE_CHECKING:
    from qconv.cli.network import Network
    from qconv.quant.types import Scheme
    from qconv.statistics.calibration import Calibration

F = TypeVar("F", bound=Callable[..., Any])


def plot_option(command: F) -> F:
    """The option --plot."""
    return click.option(
        "--plot", type=PATH, metavar="DIR", callback=_folder,
        help="Draw each tensor's histogram with the range that each method would choose, and a contact sheet of all.",
    )(command)  # fmt: skip


def _folder(context: click.Context, parameter: click.Parameter, folder: Path | None) -> Path | None:
    """Refuses, before any work is done, what can hold no pictures. Raises OutputError."""
    if folder is None:
        return None
    existing = next((path for path in (folder, *folder.absolute().parents) if path.exists()), folder)
    if not existing.is_dir():
        raise OutputError(f"{existing} is no folder, so --plot cannot put pictures there: name another")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise OutputError(f"the folder {existing} cannot be written, so --plot cannot put pictures there: name another")
    return folder


def check_plot(folder: Path | None, check_data: bool) -> None:
    """Raises click.UsageError for options that do not go together."""
    if folder is not None and check_data:
        raise click.UsageError("--check-data writes nothing; leave out --plot")


def draw(calibration: Calibration, folder: Path, scheme: Scheme, network: Network) -> str:
    """Draws into the folder, and says what is there now."""
    from qconv.cli.console import progress

    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it tells of its caches, which concern nobody here
    from qconv.plot import plot

    with progress("drawing") as update:
        drawn = plot(
            calibration, folder, scheme, update, order=network.order, keep=network.outcomes, weights=network.weights
        )  # fmt: skip
    sheets = sum(path.name.startswith("contact_sheet") for path in drawn)
    shown = "contact_sheet.png shows" if sheets == 1 else f"contact_sheet.png and {sheets - 1} more show"
    tensors, weights = counted(len(calibration.tensors), "tensor"), counted(len(network.weights), "weight")
    return f"{folder}: pictures of {tensors} and {weights}; {shown} all"
