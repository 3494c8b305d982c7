"""`report_page`: what verification found of one model, as a single file of HTML that loads nothing."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from qconv.integer.metadata import Origin
from qconv.integer.program import Program
from qconv.statistics.summary import Summary
from qconv.verify.measure.code_use import BINS
from qconv.verify.report.report import Report

from .advice import advice
from .cause import causes
from .layout import HEIGHT, WIDTH, layout, points
from .units import Network, grade, network

_WORDS = {"sha256": "calibration, SHA-256"}
_TITLE, _OP = 22, 19  # characters that fit a box


def report_page(report: Report, program: Program | None = None, tensors: Mapping[str, Summary] | None = None) -> str:
    """The page; with the program of the integer model, its network as a picture, and with what calibration saw, float values."""
    drawn = None if program is None else network(program, report.written, report.layers, tensors)
    environment = environment_of_pages()
    return environment.get_template("report.html").render(
        report=report, causes=tuple(causes(report)), steps=tuple(advice(report, program)),
        origin=None if program is None else program.origin,
        network=drawn, picture=None if drawn is None else _picture(drawn), worst=min_sqnr(report), bins=BINS,
    )  # fmt: skip


def environment_of_pages() -> Environment:
    """The templates with the words that they use."""
    environment = Environment(
        loader=PackageLoader("qconv.report"), autoescape=select_autoescape(), undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"db": decibels, "share": share, "size": size, "ends": _ends, "begins": _begins, "bars": bars}
    environment.globals |= {"grade": grade, "made_of": made_of}
    return environment


def decibels(value: float | None) -> str:
    """An SQNR, as the page writes it."""
    if value is None:
        return "-"
    return "no error" if value == math.inf else "none left" if value == -math.inf else f"{value:.1f} dB"


def share(value: float) -> str:
    """A share in [0, 1], as the page writes it."""
    return f"{100 * value:.2f} %"


def size(count: float) -> str:
    """A number of bytes, as the page writes it."""
    return f"{count / 1e6:.2f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"


def made_of(origin: Origin) -> list[tuple[str, str]]:
    """The settings that a model was made with, and what its calibration tells of itself, as pairs of a word and a value."""
    found = [(f"--{flag}", _told(value)) for flag, value in (origin.settings or {}).items()]
    for word, value in (origin.calibration or {}).items():
        if word == "chosen":
            found += [(f"by {method}", ", ".join(names)) for method, names in value.items()]
        elif value is not None:
            found.append((_WORDS.get(word, word), _told(value)))
    return found


def bars(counts: Sequence[int], height: float = 60.0, width: float = 256.0) -> list[tuple[float, float, float, float]]:
    """The rectangles (x, y, width, height) of a histogram."""
    most = max(max(counts, default=0), 1)
    step = width / max(len(counts), 1)
    return [(i * step, height - height * count / most, step - 1, height * count / most) for i, count in enumerate(counts)]


def min_sqnr(report: Report) -> float:
    """The SQNR of the worst output, or part of one."""
    parts = [part.similarity.sqnr_db for output in report.outputs for part in output.parts or (output.whole,)]
    return min(parts, default=math.inf)


def _told(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else json.dumps(value).strip('"')


def _ends(name: str) -> str:
    return name if len(name) <= _TITLE else f"...{name[3 - _TITLE :]}"


def _begins(op: str) -> str:
    return op if len(op) <= _OP else f"{op[: _OP - 3]}..."


def _picture(drawn: Network) -> dict[str, Any]:
    placed = layout(len(drawn.units), drawn.edges)
    return {
        "boxes": list(zip(drawn.units, placed.corners, strict=True)), "lines": [points(line) for line in placed.lines],
        "width": math.ceil(placed.width), "height": math.ceil(placed.height), "box": (WIDTH, HEIGHT),
        "start": max(0, int(placed.corners[0][0]) - WIDTH) if placed.corners else 0,
    }  # fmt: skip
