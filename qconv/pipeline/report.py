"""Reports as pages: one model, or several side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from qconv.errors import ArtifactError, UsageError
from qconv.integer.program import Program
from qconv.model.load import load
from qconv.model.near_paths import unreadable
from qconv.model.save import write_text
from qconv.model.text_files import read_json
from qconv.report import comparison_page, report_page
from qconv.statistics.calibration import CALIBRATION_SUFFIX, Calibration
from qconv.statistics.summary import Summary
from qconv.verify.report.report import Report


def write_report(report: Report, path: Path) -> None:
    """The page of a report, with the network of its integer model where that file is still there. Raises OutputError.

    Float values are drawn from the calibration file beside the float model, where it is that of the model.
    """
    model = Path(report.integer_model)
    program = Program.read(load(model).ir) if model.exists() else None
    write_text(path, report_page(report, program, None if program is None else _seen(report, program)))


def _seen(report: Report, program: Program) -> Mapping[str, Summary] | None:
    path = Path(report.float_model).with_suffix(CALIBRATION_SUFFIX)
    try:
        found = Calibration.load(path) if path.exists() else None
    except ArtifactError:
        return None
    return found.tensors if found is not None and found.model_sha256 == program.origin.model_sha256 else None


def write_comparison(reports: Sequence[Report], path: Path) -> None:
    """The page of several reports. Raises UsageError for less than two, OutputError where it cannot be written."""
    if len(reports) < 2:
        raise UsageError("a comparison needs at least two reports; write them with `qconv verify --json`")
    write_text(path, comparison_page(reports))


def read_report(path: Path) -> Report:
    """A report of `qconv verify --json`. Raises UsageError for a file that cannot be read, ArtifactError for another one."""
    try:
        data = read_json(path)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(unreadable("report", path, error)) from None
    except ValueError:
        raise ArtifactError(f"{path} is not JSON; write a report with `qconv verify --json > {path}`") from None
    try:
        return Report.from_json(data)
    except ArtifactError as error:
        raise ArtifactError(f"{path}: {error}") from None
