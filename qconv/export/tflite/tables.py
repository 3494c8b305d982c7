"""Functions of one code in TFLite: 256 codes, taken at the codes as numbers."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from qconv.integer.step import Step

from .integers import OFFSET, shifted
from .translate import OP, Translation, as_signed, signed
from .writer import Array, options


def lookup(t: Translation, value: ir.Value, table: Array, output: ir.Value) -> None:
    """GATHER of a table that is ordered by bit pattern; the output lies as its input does."""
    name, last, unsigned = str(output.name), value in t.last, t.array(value).dtype == np.uint8
    own = t.meanings[output]
    params = None if own is None else signed(own)
    x = t.read(value, last=last)
    shape = t.writer.shape(x)
    wide = t.writer.operator(OP.CAST, 1, [x], t.writer.tensor(f"{name}/wide", shape, None, "int32"), options("CastOptions"))
    place = shifted(t, wide, OP.ADD, "AddOptions", f"{name}/place")
    codes = t.writer.constant(f"{name}/table", as_signed(table if unsigned else np.roll(table, OFFSET)), params)
    found = t.writer.tensor(name, shape, params, t.writer.kind(codes))
    t.writer.operator(OP.GATHER, 3, [codes, place], found, options("GatherOptions", Axis=0))
    t.keep(output, found, params, last=last)


def pass_table(t: Translation, step: Step) -> tuple[Array, ir.Value] | None:
    """The table and the output, where a tensor is flattened for a table alone and has its shape again behind it.

    What lies between is passed over.
    """
    value, places = step.operand(0).value, step.writes[0].value
    chain, table = [places], None
    for op in ("Cast", "GatherElements", "Reshape"):
        readers = t.readers.get(places, [])
        if len(readers) != 1 or readers[0].op != op or places.is_graph_output():
            return None
        reader, places = readers[0], readers[0].writes[0].value
        chain.append(places)
        if op == "GatherElements":
            source = reader.operand(0).value
            table = None if source in t.numbers else t.array(source)
    if table is None or table.ndim > 1 or t.array(places).shape != t.array(value).shape:
        return None
    t.passed.update(chain)
    return table, places
