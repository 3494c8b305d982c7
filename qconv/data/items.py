"""What people have at hand as samples, an item after the other: mappings, arrays, and what a DataLoader gives.

    {"x": array, ...}            by the names of the inputs
    array                        for a model of one input
    (array, ...)                 one array for each input, in their order
    (array, ..., classes)        the same and the classes of the samples, as data sets for training have it

An array may hold several samples (qconv/data/fit.py), and be a tensor of another library.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qconv.data.fit import check_dtype, cut, match_names, to_feed
from qconv.data.source import InputInfo, Sample
from qconv.errors import DataError
from qconv.model.session import reason

_LABELS = "labels"


def samples_of_item(item: Any, inputs: Sequence[InputInfo], where: str) -> Iterator[Sample]:
    """The samples that an item holds, all named `where`. Raises DataError where it does not fit the inputs."""
    arrays, classes = _taken_apart(item, inputs, where)
    names = match_names(list(arrays), inputs, where)
    cuts = {}
    for info in inputs:
        array = arrays[names[info.name]]
        check_dtype(info, array.dtype, f"{info.name} of {where}")
        cuts[info.name] = cut(info, array.shape, f"{info.name} of {where}")
    if len({made.count for made in cuts.values()}) > 1:
        raise DataError(f"the arrays of {where} disagree on the number of samples; make them equal")
    count = next(iter(cuts.values())).count
    own = classes.ravel() if classes is not None and classes.dtype.kind in "iu" and classes.size == count else None
    for index in range(count):
        feeds = {}
        for info in inputs:
            made, array = cuts[info.name], arrays[names[info.name]]
            block = array if made.rows is None else array[index * made.rows : (index + 1) * made.rows]
            feeds[info.name] = to_feed(info, block, made.shape, where)
        yield Sample(feeds, None if own is None else int(own[index]), where)


def as_array(value: Any, where: str) -> NDArray[Any]:
    """An array, also of a tensor of another library or of nested lists. Raises DataError for ragged ones and other things."""
    try:
        if hasattr(value, "detach"):  # a tensor of PyTorch, which may carry a gradient or live elsewhere
            value = value.detach().cpu()
        array = np.asarray(value)
        # Lists of Python numbers are double or int64 only because Python has nothing smaller.
        return array.astype(np.float32) if isinstance(value, list) and array.dtype == np.float64 else array
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise DataError(f"{where} is no array ({reason(error)}); give rows of equal length") from None


def _taken_apart(item: Any, inputs: Sequence[InputInfo], where: str) -> tuple[dict[str, NDArray[Any]], NDArray[Any] | None]:
    """The arrays of an item by name, and the classes if it has some."""
    if isinstance(item, Mapping):
        arrays = {str(key): as_array(value, f"{key} of {where}") for key, value in item.items()}
        own = any(info.name == _LABELS for info in inputs)
        return arrays, None if own else arrays.pop(_LABELS, None)
    if isinstance(item, tuple) or (isinstance(item, list) and any(hasattr(part, "shape") for part in item)):
        parts = [as_array(part, f"part {number} of {where}") for number, part in enumerate(item)]
        if len(parts) not in (len(inputs), len(inputs) + 1):
            raise DataError(
                f"{where} has {len(parts)} parts; give {len(inputs)}, an array for each input, and classes if there are any"
            )
        arrays = {info.name: part for info, part in zip(inputs, parts, strict=False)}
        return arrays, parts[-1] if len(parts) > len(inputs) else None
    return {"": as_array(item, where)}, None
