"""`qconv merge`: the calibrations of shards become that of the whole."""

from __future__ import annotations

from pathlib import Path

import click

from qconv.cli.options import NEW_FILE, PATH


@click.command(short_help="Add up the calibrations of shards.")
@click.argument("files", type=PATH, nargs=-1, required=True)
@click.option("-o", "--output", type=NEW_FILE, required=True, help="The calibration file.")
def merge(files: tuple[Path, ...], output: Path) -> None:
    """Write the calibration file that one run over all samples would have written, byte for byte.

    FILES are what `qconv calibrate --shard` wrote, or earlier merges of those, in any order and grouping. Where shards are
    still missing, the file says so, can be merged further, and serves `qconv quantize` with a warning.
    """
    from qconv.cli.console import out, warn
    from qconv.errors import UsageError
    from qconv.pipeline import Kind, check_outputs
    from qconv.statistics.calibration import Calibration
    from qconv.statistics.merge import merge as add_up
    from qconv.statistics.moments_file import moments_beside

    calibrations = {str(path): Calibration.load(path) for path in files}
    if len(calibrations) < len(files):
        raise UsageError("a file is named twice; give each shard once")
    outputs = {"the calibration": (output, Kind.CALIBRATION)}
    if any(calibration.moments is not None for calibration in calibrations.values()):
        outputs["its moments"] = (moments_beside(output), Kind.MOMENTS)
    check_outputs([*files, *map(moments_beside, files)], outputs)
    merged = add_up(calibrations)
    for warning in (*merged.warnings, *merged.still):
        warn(warning)
    merged.save(output)
    out.print(f"{output}: {merged.coverage}")
