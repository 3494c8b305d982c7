"""`--like`: the settings with which an integer model was made, as defaults of another run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from qconv.cli.options import PATH, RULES, F

if TYPE_CHECKING:
    from qconv.config import QuantConfig
    from qconv.integer.metadata import Origin
    from qconv.statistics.calibration import Calibration

ORIGIN = "qconv.like"  # where a context keeps the origin of the model that a run shall be like


def like_option(command: F) -> F:
    """The option --like MODEL."""

    def read(context: click.Context, parameter: click.Parameter, path: Path | None) -> None:
        if path is None:
            return
        from qconv.cli.general import set_defaults
        from qconv.errors import ArtifactError
        from qconv.integer.metadata import read_origin
        from qconv.model.load import load
        from qconv.pipeline.made import flags_of

        origin = read_origin(load(path).ir)
        if origin.settings is None:
            raise ArtifactError(f"{path} does not tell with which settings it was made; give an integer model of this version")
        flags, rules = flags_of(origin.settings)
        set_defaults(context, flags)
        context.meta[RULES] = rules
        context.meta[ORIGIN] = origin

    return click.option(
        "--like", type=PATH, is_eager=True, expose_value=False, callback=read, metavar="MODEL",
        help="Repeat the run that made this integer model: its settings, on top of which flags go. The same model and samples "
        "give the same bytes.",
    )(command)  # fmt: skip


def differences(origin: Origin, model_sha256: str, calibration: Calibration | None, config: QuantConfig) -> list[str]:
    """Why a run cannot give the bytes of the model that it shall be like."""
    from qconv.pipeline.made import calibration_digest, changed_files
    from qconv.version import VERSION

    found = []
    if origin.model_sha256 != model_sha256:
        found.append("--like: that model was made from another float model, so the result will differ")
    known = None if origin.calibration is None else origin.calibration.get("sha256")
    if known is not None and calibration is not None and known != calibration_digest(calibration):
        found.append(
            "--like: that model was made with another calibration, so the result may differ; give the same samples with --data, "
            "or their file with --calibration"
        )
    files = changed_files(origin.settings or {}, config)
    found += [f"--like: that model was made with another file for --{flag}, so the result may differ" for flag in files]
    if origin.version != VERSION:
        found.append(f"--like: that model was made by qconv {origin.version}, this is {VERSION}; the result may differ")
    return found
