"""Draws all tensors of a calibration into a folder."""

from __future__ import annotations

import io
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from matplotlib import style
from PIL import Image

from qconv.errors import OutputError
from qconv.model.save import write_bytes
from qconv.plot.candidates import COLOURS, candidates
from qconv.plot.contact_sheet import TILES, page, tile
from qconv.plot.file_names import file_names
from qconv.plot.histogram_picture import HistogramPicture
from qconv.quant.types import Scheme
from qconv.statistics.calibration import Calibration
from qconv.statistics.order import in_order

Progress = Callable[[int, int | None], None]


def plot(
    calibration: Calibration,
    folder: Path,
    scheme: Scheme,
    progress: Progress | None = None,
    *,
    order: Sequence[str] = (),
    keep: Collection[str] = (),
) -> tuple[Path, ...]:
    """Writes a PNG for each tensor, and contact_sheet.png; returns all of them, the sheets last.

    Of more than 100 tensors there are further sheets, contact_sheet_2.png and so on. Ranges are those for `scheme`, and `keep`
    names the tensors that auto leaves their extremes. Tensors are numbered as in `order`, those it does not name last and by
    name. The folder is made if need be; files of the same names are replaced, each whole or not at all. Raises OutputError.
    """
    _make(folder)
    # Whatever style a user has set for other work; usetex, for one, would take minutes.
    with style.context("default"):
        return _Album(calibration, folder, scheme, keep).write(in_order(calibration.tensors, order), progress)


class _Album:
    def __init__(self, calibration: Calibration, folder: Path, scheme: Scheme, keep: Collection[str]) -> None:
        self._calibration, self._folder, self._scheme, self._keep = calibration, folder, scheme, keep
        self._picture = HistogramPicture()
        self._drawn: set[str] = set()

    def write(self, tensors: Sequence[str], progress: Progress | None) -> tuple[Path, ...]:
        files = file_names(tensors)
        pictures: list[Path] = []
        sheets: list[Path] = []
        tiles: list[Image.Image] = []
        for done, (tensor, name) in enumerate(files.items(), 1):
            pictures.append(self._folder / name)
            tiles.append(self._tensor(tensor, pictures[-1], done))
            if len(tiles) == TILES and done < len(files):
                sheets.append(self._sheet(tiles, len(sheets) + 1))
                tiles = []
            if progress is not None:
                progress(done, len(files))
        sheets.append(self._sheet(tiles, len(sheets) + 1))
        return *pictures, *sheets

    def _tensor(self, tensor: str, path: Path, number: int) -> Image.Image:
        """Writes the picture and returns its tile."""
        summary = self._calibration.tensors[tensor]
        found = candidates(self._calibration, tensor, self._scheme, self._keep)
        self._drawn |= {candidate.name for candidate in found}
        image = self._picture.draw(tensor, summary, found, str(self._scheme.int_type))
        _save(image, path)
        return tile(number, tensor, image, summary, found)

    def _sheet(self, tiles: list[Image.Image], number: int) -> Path:
        of = self._calibration
        title = f"{len(of.tensors)} tensors, {of.samples} samples of {of.source}, {of.method}, {self._scheme.int_type}"
        path = self._folder / (f"contact_sheet_{number}.png" if number > 1 else "contact_sheet.png")
        _save(page(title, tiles, [name for name in COLOURS if name in self._drawn]), path)
        return path


def _save(image: Image.Image, path: Path) -> None:
    memory = io.BytesIO()
    image.save(memory, "PNG")
    write_bytes(path, memory.getvalue())


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise OutputError(f"{folder} is a file: give the name of a folder for the pictures") from None
    except OSError as error:
        raise OutputError(f"the folder {folder} cannot be made: {error.strerror or error}") from error
