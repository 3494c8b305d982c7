"""`qconv report`: pages to look at, from reports or models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from qconv.cli.options import NEW_FILE, PATH, data_options, image_options, threads_option
from qconv.sentences import counted


@click.command(short_help="Write a page about one report, or about several side by side.")
@click.argument("files", type=PATH, nargs=-1, required=True)
@click.option("--model", type=PATH, help="The float model, where FILES are integer models.")
@data_options
@click.option(
    "--labels",
    type=PATH,
    help="A CSV of file (or index) and class, or `folders`: each folder within --data is a class.  [default: its labels.csv]",
)
@threads_option
@click.option("-o", "--output", type=NEW_FILE, default="report.html", show_default=True, help="The page.")
def report(
    files: tuple[Path, ...], model: Path | None, data: str | None, samples: int | None, labels: Path | None, threads: int,
    output: Path, **images: Any,
) -> None:  # fmt: skip
    """Write a page of HTML, a single file that loads nothing, about FILES: reports of `qconv verify --json`, or integer models,
    which are verified against --model first.

    One file gives the verdict, its cause, what to try next, and the network as a picture; several give a table, and their scores
    against size and time.
    """
    from qconv import pipeline
    from qconv.cli.console import out, progress

    pipeline.check_outputs(list(files), {"the page": (output, pipeline.Kind.OTHER)})
    found = []
    for file in files:
        if file.suffix == ".json":
            found.append(pipeline.read_report(file))
            continue
        if model is None:
            raise click.UsageError(f"{file} is no report, so it is taken for an integer model; give its float model with --model")
        with progress(f"verifying {file.name}") as update:
            found.append(
                pipeline.verify(
                    model,
                    file,
                    data,
                    labels=labels,
                    samples=samples,
                    images=image_options(**images),
                    threads=threads,
                    progress=update,
                )
            )
    if len(found) == 1:
        pipeline.write_report(found[0], output)
    else:
        pipeline.write_comparison(found, output)
    out.print(f"{output}: {counted(len(found), 'model')}")
