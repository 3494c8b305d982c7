"""Options on how a long calibration runs: in parts, and again after a crash."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def run_options(command: F) -> F:
    """--shard, --resume."""
    options = [
        click.option("--shard", metavar="I/N", help="Take the samples I, I + N, I + 2 N, ... only; `qconv merge` adds up."),
        click.option("--resume", is_flag=True, help="Go on where a killed run stopped, if there was one."),
    ]
    for option in reversed(options):
        command = option(command)
    return command
