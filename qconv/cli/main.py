"""`qconv`: the command line. It parses, calls the pipeline, prints; mistakes become one sentence and an exit code."""

from __future__ import annotations

import os
import sys

import click

from qconv import __version__
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
from qconv.errors import QconvError

INTERRUPTED, DEFECT = 130, 70


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="qconv")
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
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """The exit code of one call; whatever goes wrong is told in one sentence on standard error."""
    from qconv.cli.console import be_usual

    be_usual()
    try:
        result = cli.main(arguments, prog_name="qconv", standalone_mode=False)
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
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if os.environ.get("QCONV_TRACEBACK"):
            raise
        return _tell(
            f"a defect of qconv: {type(error).__name__}: {error} (QCONV_TRACEBACK=1 shows where; please report it)", DEFECT
        )


def _tell(message: str, code: int) -> int:
    printable = "".join(sign if sign.isprintable() else "?" for sign in " ".join(message.split()))
    click.echo(f"qconv: {printable}", err=True)  # names in models may hold what a terminal obeys
    return code
