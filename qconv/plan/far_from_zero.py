"""Tensors whose values lie in a band far from zero: codes are spent on what lies between, as every range includes zero."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

import onnx_ir as ir

from qconv.quant.types import QuantParams
from qconv.sentences import some_of

_FEW_CODES = 32.0  # an eighth of all, with which a tensor has about 5 bits

RangeOf = Callable[[str], tuple[float, float] | None]


@dataclass(frozen=True)
class _Band:
    """Values between `lo` and `hi`, and the number of codes between them."""

    name: str
    lo: float
    hi: float
    codes: float


def inputs_far_from_zero(
    graph: ir.Graph, range_of: RangeOf, tensors: Mapping[str, QuantParams], wide: Collection[str] = ()
) -> list[str]:
    """A sentence for each input that varies over few codes only, and what to do about it; those that are `wide` have 16 bits."""
    return [
        f"input {band.name} lies between {band.lo:.6g} and {band.hi:.6g}, far from zero, and varies over {band.codes:.0f} codes; "
        "take its middle off before the network"
        for band in _bands(((str(value.name), value) for value in graph.inputs if value.name not in wide), range_of, tensors)
    ]


def nodes_far_from_zero(graph: ir.Graph, range_of: RangeOf, tensors: Mapping[str, QuantParams]) -> tuple[str, ...]:
    """One sentence about all nodes whose outputs vary over few codes only, those with the fewest first; or none.

    What they vary by may matter or not, which the outputs of the network tell.
    """
    made = ((str(node.name), value) for node in graph for value in node.outputs)
    found = sorted(_bands(made, range_of, tensors), key=lambda band: band.codes)
    if not found:
        return ()
    first, names = found[0], list(dict.fromkeys(band.name for band in found))
    return (
        f"what {some_of(names, 3)} {'gives' if len(names) == 1 else 'give'} lies far from zero and varies over few codes "
        f"({first.name}: {first.codes:.0f} codes between {first.lo:.3g} and {first.hi:.3g}); --exclude {first.name} leaves "
        f"{'it' if len(names) == 1 else 'the first'} in float, and `qconv analyze` tells what that gains",
    )


def _bands(values: Iterable[tuple[str, ir.Value]], range_of: RangeOf, tensors: Mapping[str, QuantParams]) -> Iterator[_Band]:
    for name, value in values:
        params, observed = tensors.get(str(value.name)), range_of(str(value.name))
        if params is None or observed is None or params.int_type.bits < 8 or not (lo := observed[0]) < (hi := observed[1]):
            continue
        codes = (hi - lo) / float(params.scale)
        if (lo > 0 or hi < 0) and codes < _FEW_CODES:
            yield _Band(name, lo, hi, codes)
