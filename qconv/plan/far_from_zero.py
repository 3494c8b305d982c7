"""Tensors whose values lie in a band far from zero: codes are spent on what lies between, as every range includes zero."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import onnx_ir as ir

from qconv.quant.types import QuantParams

_FEW_CODES = 32.0  # an eighth of all, with which a tensor has about 5 bits


def far_from_zero(
    graph: ir.Graph, range_of: Callable[[str], tuple[float, float] | None], tensors: Mapping[str, QuantParams]
) -> list[str]:
    """A sentence for each input and each output of a node that varies over few codes only, and what to do about it."""
    found = []
    for value in (*graph.inputs, *(value for node in graph for value in node.outputs)):
        params, observed = tensors.get(str(value.name)), range_of(str(value.name))
        if params is None or observed is None or params.int_type.bits < 8 or not (lo := observed[0]) < (hi := observed[1]):
            continue
        codes = (hi - lo) / float(params.scale)
        if (lo > 0 or hi < 0) and codes < _FEW_CODES:
            maker = value.producer()
            what = f"input {value.name}" if maker is None else f"what node {maker.name} gives"
            remedy = "take its middle off before the network" if maker is None else f"leave it out with --exclude {maker.name}"
            found.append(f"{what} lies between {lo:.6g} and {hi:.6g}, far from zero, and varies over {codes:.0f} codes; {remedy}")
    return found
