"""Draws all tensors of a calibration into a folder."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib import style
from PIL import Image

from qconv.errors import OutputError
from qconv.model.save import write_bytes
from qconv.plot.candidates import COLOURS, WEIGHTS, Candidate, candidates, chosen, weight_candidates
from qconv.plot.contact_sheet import TILES, page, tile
from qconv.plot.file_names import file_names
from qconv.plot.histogram_picture import HistogramPicture
from qconv.quant.types import Scheme
from qconv.statistics.calibration import Calibration
from qconv.statistics.order import in_order
from qconv.statistics.summary import Summary

Progress = Callable[[int, int | None], None]


def plot(
    calibration: Calibration,
    folder: Path,
    scheme: Scheme,
    progress: Progress | None = None,
    *,
    order: Sequence[str] = (),
    keep: Collection[str] = (),
    weights: Mapping[str, Summary] = {},
) -> tuple[Path, ...]:
    """Writes a PNG for each tensor, and contact_sheet.png; returns all of them, the sheets last.

    What loses most comes first, and `weights` are drawn behind the tensors. Of more than 24 there are further sheets,
    contact_sheet_2.png and so on. Ranges are those for `scheme`, and `keep` names the tensors that auto leaves their extremes.
    Tensors are numbered as in `order`, those it does not name last and by name. The folder is made if need be; files of the same
    names are replaced, each whole or not at all. Raises OutputError.
    """
    _make(folder)
    # Whatever style a user has set for other work; usetex, for one, would take minutes.
    with style.context("default"):
        return _Album(calibration, folder, scheme, keep).write(in_order(calibration.tensors, order), weights, progress)


@dataclass(frozen=True)
class _Subject:
    """One tensor or weight to draw, with its place in the graph."""

    name: str
    number: int
    summary: Summary
    candidates: list[Candidate]

    def sqnr_db(self) -> float:
        """What it keeps with the range that holds; infinite where it loses nothing."""
        holds = chosen(self.candidates)
        return math.inf if holds is None or holds.sqnr_db is None else holds.sqnr_db


class _Album:
    def __init__(self, calibration: Calibration, folder: Path, scheme: Scheme, keep: Collection[str]) -> None:
        self._calibration, self._folder, self._scheme, self._keep = calibration, folder, scheme, keep
        self._picture = HistogramPicture()
        self._drawn: set[str] = set()

    def write(self, tensors: Sequence[str], weights: Mapping[str, Summary], progress: Progress | None) -> tuple[Path, ...]:
        """Draws tensors and weights in the order of the graph, and sheets of both that begin with what loses most."""
        of, keep = self._calibration, self._keep
        subjects = [_Subject(t, n, of.tensors[t], candidates(of, t, self._scheme, keep)) for n, t in enumerate(tensors, 1)]
        layers = [_Subject(w, n, summary, weight_candidates(summary)) for n, (w, summary) in enumerate(weights.items(), 1)]
        files = file_names([subject.name for subject in (*subjects, *layers)])
        pictures: list[Path] = []
        sheets: list[Path] = []
        for group, what, scheme in ((subjects, "tensors", self._scheme), (layers, "weights", WEIGHTS)):
            tiles: list[tuple[float, bytes]] = []  # as PNG, a tenth of their size
            for subject in group:
                pictures.append(self._folder / files[subject.name])
                tiles.append((subject.sqnr_db(), _png(self._draw(subject, pictures[-1], str(scheme.int_type)))))
                if progress is not None:
                    progress(len(pictures), len(files))
            tiles.sort(key=lambda pair: pair[0])
            for start in range(0, max(len(tiles), what == "tensors"), TILES):
                shown = [Image.open(io.BytesIO(png)) for _, png in tiles[start : start + TILES]]
                sheets.append(self._sheet(shown, len(sheets) + 1, f"{len(group)} {what}"))
        return *pictures, *sheets

    def _draw(self, subject: _Subject, path: Path, kind: str) -> Image.Image:
        """Writes the picture and returns its tile."""
        self._drawn |= {candidate.name for candidate in subject.candidates}
        image = self._picture.draw(subject.name, subject.summary, subject.candidates, kind)
        _save(image, path)
        return tile(subject.number, subject.name, image, subject.summary, subject.candidates)

    def _sheet(self, tiles: Sequence[Image.Image], number: int, what: str) -> Path:
        of = self._calibration
        source = f"{of.samples} samples of {of.source}, {of.method}, {self._scheme.int_type}"
        title = f"{what}, what loses most first; {source}"
        path = self._folder / (f"contact_sheet_{number}.png" if number > 1 else "contact_sheet.png")
        _save(page(title, tiles, [name for name in COLOURS if name in self._drawn]), path)
        return path


def _save(image: Image.Image, path: Path) -> None:
    write_bytes(path, _png(image))


def _png(image: Image.Image) -> bytes:
    memory = io.BytesIO()
    image.save(memory, "PNG")
    return memory.getvalue()


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise OutputError(f"{folder} is a file: give the name of a folder for the pictures") from None
    except OSError as error:
        raise OutputError(f"the folder {folder} cannot be made: {error.strerror or error}") from error
