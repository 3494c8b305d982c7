"""On which processors an integer model gives the same codes, read off its weights and its scales.

Kernels differ in two places: products of uint8 and int8 that are added in int16 (integer/saturation.py), and additions with short
multipliers (quant/neon.py). All others gave the same codes wherever they were run: benchmarks/other_cpus.py.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from qconv.integer.language.multipliers import constant
from qconv.integer.language.standard import foreign_to_others
from qconv.integer.saturation import saturating_nodes
from qconv.model.machine import adds_in_integers, adds_pairs_in_int16
from qconv.quant.neon import neon_add_table
from qconv.quant.tables import add_table
from qconv.quant.types import INT8, UINT8, QuantParams
from qconv.sentences import some_of
from qconv.targets import TARGETS


def exact_on(graph: ir.Graph) -> tuple[str, ...]:
    """The names of the targets on whose processors the model gives the same codes."""
    pairs, sums, foreign = any(saturating_nodes(graph)), any(differing_additions(graph)), any(foreign_to_others(graph))
    wrong = {
        name
        for name, t in TARGETS.items()
        if (t.adds_pairs_in_int16 and pairs) or (t.adds_in_integers and sums) or (t.standard_operators and foreign)
    }
    return tuple(name for name in TARGETS if name not in wrong)


def differing_additions(graph: ir.Graph) -> Iterator[ir.Node]:
    """The nodes whose sums differ on 64-bit ARM for some pair of codes, in graph order."""
    return (node for node in graph if node.op_type == "QLinearAdd" and _differs(node))


def machine_warnings(graph: ir.Graph) -> Iterator[str]:
    """A sentence for each kind of node that gives other codes on the processor that this runs on."""
    saturating = [str(node.name) for node in saturating_nodes(graph)]
    if saturating and adds_pairs_in_int16():
        yield (
            f"this processor has AVX2 and no VNNI, and products of {some_of(saturating)} may saturate on it, so that results are "
            "wrong; quantize the model with --target x86, which is exact on every x86"
        )
    differing = [str(node.name) for node in differing_additions(graph)] if adds_in_integers() else []
    if differing:
        yield (
            f"this processor adds with short multipliers, so that sums of {some_of(differing)} may be off by a code; "
            "quantize the model with --target arm, which is proved for them"
        )


def _differs(node: ir.Node) -> bool:
    params = [_params(node, index) for index in (1, 4, 6)]
    a, b, y = params
    return a is None or b is None or y is None or bool((neon_add_table(a, b, y) != add_table(a, b, y)).any())


def _params(node: ir.Node, index: int) -> QuantParams | None:
    """The parameters of the scale at `index` and the zero point behind it; None where they are no constants."""
    scale, zero_point = constant(node, index), constant(node, index + 1)
    if scale is None or zero_point is None:
        return None
    return QuantParams(scale.reshape(()), zero_point.reshape(()), INT8 if zero_point.dtype.kind == "i" else UINT8)
