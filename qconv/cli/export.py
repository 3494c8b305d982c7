"""`qconv export`: an integer model as a table that stands alone, as C, as test vectors, or as memories for hardware."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qconv.cli.options import MODEL, PATH, data_options, image_options
from qconv.sentences import counted

if TYPE_CHECKING:
    from qconv.pipeline.export import Chip, Exported

FORMS = ("json", "c", "qdq", "tflite", "vectors", "memh")
DOES_NOT_FIT = 8
_KINDS = {"json": ("the table", "NETWORK"), "qdq": ("the QDQ model", "QDQ"), "tflite": ("the TFLite model", "OTHER")}
_MARKS = {"c": "weights.c", "vectors": "sample0*", "memh": "network.vh"}  # files by which a folder of each form is known


@click.command(short_help="Write an integer model as C, as a complete table, or as test vectors.")
@click.argument("model", type=MODEL)
@click.option("--to", "form", type=click.Choice(FORMS), required=True, help="The form to write, of those above.")
@click.option("-o", "--output", type=PATH, help="A file for json and qdq, else a folder.  [default: beside the model]")
@data_options
@click.option("--all-tensors", is_flag=True, help="Put every tensor into the vectors, not only inputs and outputs.")
@click.option("--name", default="model", show_default=True, help="What all names of the C code begin with, as in model_run.")
@click.option("--flash", metavar="SIZE", help="Memory of a chip for constants, as 512k: say whether the network fits.")
@click.option("--ram", metavar="SIZE", help="Memory of a chip for tensors, as 128k.")
def export(
    model: Path, form: str, output: Path | None, data: str | None, samples: int | None, all_tensors: bool, name: str,
    flash: str | None, ram: str | None, **images: Any,
) -> int:  # fmt: skip
    """Write MODEL, which `qconv quantize` made, in another form.

    \b
    json     every node, tensor, multiplier and proof, and a file of bytes: enough to compute it (docs/table.md)
    c        C99 without floating point or malloc: model.h, model.c, weights.c, a test with vectors, a Makefile
    qdq      the same decisions as QuantizeLinear and DequantizeLinear, for OpenVINO, TensorRT, QNN
    tflite   an int8 model for LiteRT and for compilers that read its files; needs qconv[tflite]
    vectors  inputs and outputs as .npz and as .hex for $readmemh
    memh     weights, biases, tables, multipliers and shifts as .hex, and network.vh with their widths

    Sizes are those of one sample. Test vectors are made of --data (the first 4 samples, or --samples), else of random codes.
    Exits with 8 where the network does not fit in --flash or --ram.
    """  # noqa: D301  click's mark for a paragraph that is not to be filled
    from qconv import pipeline
    from qconv.cli.console import out, warn
    from qconv.errors import UsageError

    chip = pipeline.Chip.parse(flash, ram)
    if form != "c" and (flash or ram):
        raise UsageError("--flash and --ram are for --to c; leave them out")
    if form != "c" and name != "model":
        raise UsageError("--name is for --to c; leave it out")
    if form in ("json", "qdq", "tflite") and data is not None:
        raise UsageError(f"--to {form} has no samples in it; leave out --data, or take --to vectors")
    target = output or _default(model, form)
    _check_target(model, form, target, data)
    made = pipeline.export(
        model, form, target, data, images=image_options(**images), samples=samples or 4, everything=all_tensors, name=name
    )  # fmt: skip
    nodes = "" if made.network is None else f"{counted(len(made.network.nodes), 'node')}, "
    out.print(f"{target}: {nodes}{counted(len(made.files), 'file')}" if nodes else f"{target}: {_weight(made)}")
    if made.taken_as_one:
        sizes = ", ".join(made.taken_as_one)
        warn(f"the free sizes {sizes} are taken as 1; give them numbers with `qconv quantize --pin {made.taken_as_one[0]}=...`")
    return 0 if made.sources is None else _tell_sizes(made, chip)


def _weight(made: Exported) -> str:
    from qconv.cli.console import size

    return size(sum(path.stat().st_size for path in made.files))


def _check_target(model: Path, form: str, target: Path, data: str | None) -> None:
    """Refuses to overwrite what is read, files of another kind, and folders of something else."""
    from qconv.errors import OutputError, UsageError
    from qconv.pipeline import Kind, check_folder, check_outputs

    read = [model, Path(f"{model}.data"), *([] if data is None else [Path(data)])]
    if form in _KINDS:
        what, kind = _KINDS[form]
        check_outputs(read, {what: (target, Kind[kind])})
        blob = target.with_suffix(".bin")
        if form == "json" and blob.exists() and not target.exists():
            raise OutputError(f"the table's data would overwrite {blob}, which no table is beside: choose another name")
    elif target.exists() and not target.is_dir():
        raise UsageError(f"{target} is a file, and --to {form} writes a folder; give another --output")
    elif target.is_dir() and any(target.iterdir()) and not any(target.glob(_MARKS[form])):
        raise OutputError(f"{target} holds files of something else: give a new folder, or one that --to {form} wrote")
    else:
        check_folder(target)


def _default(model: Path, form: str) -> Path:
    return model.with_suffix({"json": ".table.json", "qdq": ".qdq.onnx", "tflite": ".tflite"}.get(form, f".{form}"))


def _kib(count: int) -> str:
    """A size as chips have it: --flash 512k is 512 KiB."""
    return f"{count / 1024:.1f} KiB".replace(".0 ", " ")


def _tell_sizes(made: Exported, chip: Chip) -> int:
    """What the network takes on a chip, and whether it fits."""
    from qconv.cli.console import out, size, warn

    sources = made.sources
    assert sources is not None
    out.print(f"constants {size(sources.constants)}, memory for tensors {size(sources.ram)}; make check runs the vectors")
    missing = 0
    for what, need, have in (("flash", sources.constants, chip.flash), ("RAM", sources.ram, chip.ram)):
        if have is None:
            continue
        if need <= have:
            out.print(f"fits: {_kib(need)} of {_kib(have)} {what}")
            continue
        missing += 1
        largest = sources.largest if what == "flash" else sources.tensors
        most = ", ".join(f"{name} {size(count)}" for name, count in largest[:3])
        warn(f"does not fit: {_kib(need)} of {_kib(have)} {what}; most is taken by {most}")
    return DOES_NOT_FIT if missing else 0
