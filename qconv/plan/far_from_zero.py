"""Tensors whose values lie in a band far from zero: codes are spent on what lies between, as every range includes zero."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.model.traits import Trait, has_trait
from qconv.plan.steep import DistributionOf, Steep
from qconv.quant.types import QuantParams
from qconv.sentences import counted, some_of

_FEW_CODES = 32.0  # an eighth of all, with which a tensor has about 5 bits
_FEW_OF_OUTPUT = 64.0  # with which rounding alone leaves an output about 30 dB

_HANDS_ON = Trait.RESHAPES | Trait.PERMUTES | Trait.TAKES | Trait.CLAMPS  # what comes from elsewhere lies as far from zero there

RangeOf = Callable[[str], tuple[float, float] | None]


@dataclass(frozen=True)
class _Band:
    """Values between `lo` and `hi`, and the number of codes between them."""

    name: str
    lo: float
    hi: float
    codes: float


def is_far_band(values: NDArray[np.float64], params: QuantParams) -> bool:
    """Whether the values of an output lie in a band far from zero, of which its parameters leave few codes."""
    if not values.size or params.axis is not None:
        return False
    lo, hi = float(values.min()), float(values.max())
    return (lo > 0 or hi < 0) and 0.0 < hi - lo < _FEW_OF_OUTPUT * float(params.scale)


def outputs_far_from_zero(nodes: Collection[ir.Node], tensors: Mapping[str, QuantParams], met_of: DistributionOf) -> Steep:
    """The nodes that make outputs in a band far from zero, and nothing else: they stay in float, at the end of the graph."""
    found = dict[str, str]()
    for node in nodes:
        value = node.outputs[0]
        params, met = tensors.get(str(value.name)), met_of(str(value.name))
        if params is None or params.int_type.bits != 8 or met is None or not is_far_band(met.values, params):
            continue
        lo, hi = float(met.values.min()), float(met.values.max())
        reason = (
            f"its output lies between {lo:.6g} and {hi:.6g}, far from zero, over which 8 bits have "
            f"{counted(round((hi - lo) / float(params.scale)), 'code')}; let the network give it without its middle"
        )
        found |= dict.fromkeys(_makers(node, nodes), reason)
    return Steep(in_float=found)


def _makers(node: ir.Node, nodes: Collection[ir.Node]) -> list[str]:
    """A node that makes an output and nothing else, back to the one that computes it; none where codes are read elsewhere too."""
    names = list[str]()
    if not node.outputs[0].is_graph_output():
        return names
    while node in nodes and len(node.outputs) == 1 and len(list(node.outputs[0].uses())) == (1 if names else 0):
        names.append(str(node.name))
        maker = node.inputs[0].producer() if node.inputs[0] is not None else None
        if not has_trait(node, _HANDS_ON):
            return names
        if maker is None or maker.outputs[0].is_graph_output():
            return []
        node = maker
    return []


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
