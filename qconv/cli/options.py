"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from qconv.errors import ModelError
from qconv.targets import TARGETS

if TYPE_CHECKING:
    from qconv.data.image_options import ImageOptions

F = TypeVar("F", bound=Callable[..., Any])


class _GivenPath(click.Path):
    """A path that is not empty: an empty one, which a variable without a value gives, is the present folder for Python."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Fails for an empty path."""
        if not str(value):
            self.fail("the path is empty; give the name of a file", param, ctx)
        return super().convert(value, param, ctx)


class _Data(click.types.StringParamType):
    """What names samples."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Fails for nothing but blanks, as a variable without a value gives them."""
        if not str(value).strip():
            self.fail("it is empty; give an .npz, a folder of arrays or images, or module:function", param, ctx)
        return str(super().convert(value, param, ctx))


class _ModelFile(_GivenPath):
    """The path of a model, beside which others are written."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Raises ModelError for a folder, which has no name that others could be made of where it is the present one."""
        path = super().convert(value, param, ctx)
        if path.is_dir():
            raise ModelError(f"{path} is not a file: give the path of an .onnx file")
        return path


class _NamedFile(_GivenPath):
    """The path of a file to be written, whose name others are made of."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Fails for a path without a name, as that of the present folder."""
        if not Path(value).name:
            self.fail(f"{value or 'the path'} has no name; give the name of a file", param, ctx)
        return super().convert(value, param, ctx)


PATH = _GivenPath(path_type=Path)
MODEL = _ModelFile(path_type=Path)
DATA = _Data()
NEW_FILE = _NamedFile(path_type=Path)
METHODS = ("aciq", "auto", "ema", "entropy", "minmax", "mse", "percentile")
COUNT = click.IntRange(1, 2**31 - 1)
KINDS = ("auto", "uniform", "powers", "two-powers", "ternary", "binary", "codebook")
BITS = click.IntRange(2, 8)
WEIGHT_BITS = click.IntRange(2, 8)
PRESETS = ("imagenet", "caffe", "tf", "unit", "raw")


def data_options(command: F) -> F:
    """--data and everything that says how samples are read."""
    options = [
        click.option(
            "--data", type=DATA, metavar="DATA", help="Samples: an .npz, a folder of .npz/.npy or of images, or module:function."
        ),
        click.option("--samples", type=COUNT, metavar="N", help="Use the first N samples only."),
        click.option("--preset", type=click.Choice(PRESETS), help="How images become tensors.  [default: imagenet]"),
        click.option(
            "--resize", metavar="N|WxH", help="Length of an image's short side, or its exact size.  [default: from the model]"
        ),
        click.option("--crop", metavar="N|WxH", help="Size cut from the middle.  [default: from the model]"),
        click.option("--scale", type=float, help="Factor on the pixels 0..255 before mean and std."),
        click.option("--mean", metavar="M[,M,M]", help="Subtracted after scaling; one number, or one per channel."),
        click.option("--std", metavar="S[,S,S]", help="Divisor after the mean; one number, or one per channel."),
        click.option("--layout", type=click.Choice(["nchw", "nhwc"]), help="Order of the axes.  [default: from the model]"),
        click.option(
            "--channels", type=click.Choice(["rgb", "bgr", "gray"]), help="Order of the channels.  [default: from the preset]"
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def threads_option(command: F) -> F:
    """The option --threads."""
    return click.option(
        "--threads", type=click.IntRange(min=0), default=0, show_default="all cores", metavar="N", help="Threads of onnxruntime."
    )(command)


def strict_option(command: F) -> F:
    """The option --strict."""
    return click.option("--strict", is_flag=True, help="Exit with 1 if there is any warning.")(command)


def target_option(command: F) -> F:
    """The option --target."""
    titles = "; ".join(f"{target.name}: {target.title}" for target in TARGETS.values())
    return click.option(
        "--target", type=click.Choice(list(TARGETS)), default="x86", show_default=True,
        help=f"Where the results are to be exact.  [{titles}]",
    )(command)  # fmt: skip


def effort_option(command: F) -> F:
    """The option --effort."""
    return click.option(
        "--effort", type=click.Choice(["none", "fast", "full"]), default="fast", show_default=True,
        help="How much is done to recover accuracy with samples: weights are rounded so that each layer repairs what those "
        "before it lost. fast takes seconds for small networks, full several times as long, for wide layers too.",
    )(command)  # fmt: skip


def mode_options(command: F) -> F:
    """The options --mode and --group."""
    options = [
        click.option(
            "--mode", type=click.Choice(["static", "weight-only", "dynamic"]), default="static", show_default=True,
            help="static: integers throughout, with scales from a calibration. The others leave activations in float: "
            "weight-only keeps the weights of MatMul and Gemm in codes of 2, 4 or 8 bits; dynamic multiplies in integers, with "
            "scales that each run finds, and needs no samples.",
        ),
        click.option(
            "--group", type=int, default=32, show_default=True, metavar="N",
            help="How many weights of a column share a scale in mode weight-only: 16, 32, 64, 128 or 256.",
        ),
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


RULES = "qconv.rules"  # where a context keeps the rules of --config


def goal_options(command: F) -> F:
    """--budget, --max-drop, --min-sqnr and --time-limit."""
    options = [
        click.option(
            "--budget", metavar="PART",
            help="Choose bits for each layer so that the model has this part of the 8-bit one: 0.8x-size of its file, or "
            "0.5x-bops of its bit operations (weight bits x activation bits x products).",
        ),
        click.option(
            "--max-drop", type=click.FloatRange(min=0), metavar="POINTS",
            help="Try one thing after the other until at most so many points of top-1 accuracy are lost (0.5: half a percent of "
            "the samples); without labels, as far as the float network's probabilities tell.",
        ),
        click.option("--min-sqnr", type=float, metavar="DB", help="The same until every output has this SQNR."),
        click.option(
            "--time-limit", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS",
            help="Begin no attempt of --max-drop or --min-sqnr that would end later.",
        ),
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def exclude_option(command: F) -> F:
    """The option --exclude."""
    return click.option(
        "--exclude", multiple=True, metavar="GLOB",
        help="Leave nodes in float whose name or op type matches, or with FROM..TO all between two tensors; may be repeated. "
        "A pattern that matches nothing is an error.",
    )(command)  # fmt: skip


def pin_option(command: F) -> F:
    """The option --pin."""
    return click.option(
        "--pin", multiple=True, metavar="NAME=VALUE",
        help="Make an input a constant, as --pin sr=16000, or a free size a number, as --pin batch=1; may be repeated. What "
        "depends on it is computed ahead, and the integer model no longer has the input.",
    )(command)  # fmt: skip


def image_options(
    preset: str | None, resize: str | None, crop: str | None, scale: float | None, mean: str | None, std: str | None,
    layout: Any, channels: Any,
) -> ImageOptions:  # fmt: skip
    """What the options say about images. Raises click.UsageError for what is no size or no list of numbers."""
    from qconv.data.image_options import ImageOptions

    side = _size("--resize", resize)
    cut = _size("--crop", crop)
    return ImageOptions(
        preset=preset,
        resize=side[0] if side is not None and len(side) == 1 else side,  # type: ignore[arg-type]
        crop=None if cut is None else (cut[0], cut[-1]),
        scale=scale,
        mean=_numbers("--mean", mean),
        std=_numbers("--std", std),
        layout=layout,
        channels=channels,
    )


def _size(option: str, text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise click.UsageError(f"{option} takes a number of pixels or WIDTHxHEIGHT, not {text!r}")
    return tuple(map(int, parts))


def _numbers(option: str, text: str | None) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise click.UsageError(f"{option} takes numbers separated by commas, not {text!r}") from None
