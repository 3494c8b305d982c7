"""`qconv`: the command line. It parses, calls the pipeline, prints; mistakes become one sentence and an exit code."""

from __future__ import annotations

import os
import sys
import warnings

import click

from qconv.cli.analyze import analyze
from qconv.cli.calibrate import calibrate
from qconv.cli.export import export
from qconv.cli.general import add_general_options
from qconv.cli.inspect import inspect
from qconv.cli.merge import merge
from qconv.cli.quantize import quantize
from qconv.cli.report import report
from qconv.cli.train import train
from qconv.cli.verify import verify
from qconv.errors import OutputError, QconvError
from qconv.version import VERSION

INTERRUPTED, DEFECT = 130, 70


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(VERSION, prog_name="qconv")
def cli() -> None:
    """Turn a float ONNX network into an integer-only one whose arithmetic is proved.

    \b
    qconv calibrate model.onnx --data samples.npz     -> model.calib.json
    qconv quantize  model.onnx --bits 8               -> model.int8.onnx, model.int8.json
    qconv verify    model.onnx                        -> a report and an exit code
    qconv export    model.int8.onnx --to c            -> a folder of C99, integers only

    Exit codes: 0 done; 1 verification says no; 2 wrong options; 3 the model; 4 the samples; 5 a calibration or plan file;
    6 float nodes where there must be none; 7 the output cannot be written; 8 it does not fit on the chip; 130 interrupted.
    """  # noqa: D301  click's mark for a paragraph that is not to be filled


for command in (calibrate, merge, quantize, verify, inspect, analyze, export, train, report):
    add_general_options(command)
    cli.add_command(command)


def main() -> None:
    """Runs the command line and exits."""
    if not sys.warnoptions:  # what libraries find odd in a damaged file is told in our own sentence
        warnings.filterwarnings("ignore", module=r"(qconv|numpy|PIL|onnx|onnxscript|onnx_ir)\b")
    if sys.stderr is None:  # closed
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123  # it stays open until the end
    if sys.stdout is None:
        sys.stdout = sys.stderr
        sys.exit(_tell("standard output is closed; let it go to a file or to /dev/null", OutputError.exit_code))
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """The exit code of one call; whatever goes wrong is told in one sentence on standard error."""
    from qconv.cli.console import be_usual

    be_usual()
    try:
        result = cli.main(arguments, prog_name="qconv", standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except QconvError as error:
        return _tell(str(error), error.exit_code)
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        return _tell("interrupted; nothing half-written was left behind", INTERRUPTED)
    except MemoryError:
        return _tell("the machine's memory does not suffice for this model; close other programs or use a larger machine", DEFECT)
    except BrokenPipeError:
        _forget_stdout()
        return 1
    except OSError as error:
        _forget_stdout()
        place = f" in {error.filename}" if error.filename else ""
        return _tell(f"reading or writing failed{place}: {error.strerror or error}", OutputError.exit_code)
    except Exception as error:
        if os.environ.get("QCONV_TRACEBACK"):
            raise
        return _tell(
            f"a defect of qconv: {type(error).__name__}: {error} (QCONV_TRACEBACK=1 shows where; please report it)", DEFECT
        )


def _tell(message: str, code: int) -> int:
    from qconv.cli.console import printable

    click.echo(f"qconv: {printable(' '.join(message.split()))}", err=True)
    return code


def _forget_stdout() -> None:
    """What is still to be written goes nowhere, so that the end of the process does not fail over it again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
