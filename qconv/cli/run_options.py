"""Options on how a long calibration runs: in parts, again after a crash, and by several workers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from qconv.cli.options import COUNT
from qconv.errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])


def run_options(command: F) -> F:
    """--shard, --resume, --engine, --workers, --address."""
    options = [
        click.option("--shard", metavar="I/N", help="Take the samples I, I + N, I + 2 N, ... only; `qconv merge` adds up."),
        click.option("--resume", is_flag=True, help="Go on where a killed run stopped, if there was one."),
        click.option(
            "--engine", type=click.Choice(["local", "ray"]), default="local", show_default=True,
            help="Who does the work: processes of this machine, or a Ray cluster, which needs `pip install qconv[ray]`.",
        ),
        click.option(
            "--workers", type=COUNT, metavar="N",
            help="Cut the samples into N shards, each a process or a Ray task.  [default: 1; ray: the cores of the cluster]",
        ),
        click.option(
            "--address", metavar="HOST:PORT",
            help="The Ray cluster, as Ray takes it.  [default: RAY_ADDRESS, or one on this machine]",
        ),
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def check_run_options(
    data: str | None, shard: str | None, resume: bool, engine: str, workers: int | None, address: str | None
) -> None:
    """Raises click.UsageError for options that do not go together, and UsageError for those that need `data`."""
    if shard is not None and (engine == "ray" or workers is not None):
        raise click.UsageError("--shard is one part, and --workers and --engine ray cut by themselves; give one or the other")
    if data is None and (shard is not None or engine == "ray" or (workers or 1) > 1):
        raise UsageError("only real samples are worth sharding; give them with --data")
    if address is not None and engine != "ray":
        raise click.UsageError("--address names a Ray cluster; add --engine ray")
    if resume and engine == "ray":
        raise click.UsageError("Ray runs lost tasks again by itself; --resume serves --engine local")
