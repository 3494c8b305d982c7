"""Many samples in an .npz on disk, written and read one by one: no process has to hold them all."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path

import numpy as np

from benchmarks.feeds import Feeds


def write(path: Path, feeds: Sequence[Feeds], count: int) -> None:
    """`count` samples, repeated from `feeds` in order, of which each is one row of every input."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, first in feeds[0].items():
            descr, shape = np.lib.format.dtype_to_descr(first.dtype), (count, *first.shape[1:])
            header = {"descr": descr, "fortran_order": False, "shape": shape}
            with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
                np.lib.format.write_array_header_1_0(stream, header)
                for feed in islice(cycle(feeds), count):
                    stream.write(np.ascontiguousarray(feed[name]).tobytes())


def read(path: Path) -> Iterator[Feeds]:
    """The samples of a file with one input."""
    with zipfile.ZipFile(path) as archive:
        (member,) = archive.namelist()
        with archive.open(member) as stream:
            np.lib.format.read_magic(stream)
            shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
            row = (1, *shape[1:])
            size = dtype.itemsize * int(np.prod(row))
            for _ in range(shape[0]):
                yield {member.removesuffix(".npy"): np.frombuffer(stream.read(size), dtype).reshape(row)}
