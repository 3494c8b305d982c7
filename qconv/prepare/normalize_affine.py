"""Write what is left of arithmetic with constants in one way, the constant second.

scale x + shift   Mul(x, scale), Add(x, shift), Sub(shift, x) where scale is -1, else Mul then Add; nothing for 1 x + 0
scale (x + shift / scale)     Add then Mul, for an input that a large scale makes a mask of: 10000 (x - 1)
x - c, x / c      x + (-c), x * (1/c)        for a constant of any other shape
c + x, c * x      x + c, x * c
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.model.edit import Editor
from qconv.model.traits import Trait, has_trait

from .affine import Affine, Chain, Doubles, affine_chains, affine_of, constant_operand

_MASKS = 1000.0  # no score is so large


def normalize_affine(model: ir.Model) -> int:
    """Rewrite arithmetic with constants that is not in canonical form; returns the number of chains and nodes rewritten."""
    editor = Editor(model.graph)
    chains = sum(_write_chain(editor, chain) for chain in affine_chains(model.graph))
    return chains + sum(_write_node(editor, node) for node in tuple(model.graph))


def _write_chain(editor: Editor, chain: Chain) -> int:
    wanted = ("Add", "Mul") if _is_mask(chain) else _form(chain.affine)
    if chain.nodes[0].op_type == "BatchNormalization" and chain.source.shape is None:
        return 0
    if tuple(node.op_type for node in chain.nodes) == wanted and all(_in_order(node) for node in chain.nodes):
        return 0
    if not wanted:
        editor.bypass(chain.target, chain.source)
        editor.remove_unread(chain.nodes[:-1])
        return 1
    last, x = chain.nodes[-1], chain.source
    if len(wanted) == 2:
        shares = chain.affine.shift / chain.affine.scale if wanted[0] == "Add" else chain.affine.scale
        first = editor.constant(f"{last.name}/{'shift' if wanted[0] == 'Add' else 'scale'}", _shaped(shares, chain))
        x = editor.insert_before(last, wanted[0], [x, first], name=f"{last.name}/{wanted[0].lower()}", shape=x.shape)
    array = chain.affine.scale if wanted[-1] == "Mul" else chain.affine.shift
    constant = editor.constant(f"{last.name}/{'scale' if wanted[-1] == 'Mul' else 'shift'}", _shaped(array, chain))
    editor.rewrite(last, wanted[-1], [constant, x] if wanted[-1] == "Sub" else [x, constant])
    editor.remove_unread(chain.nodes[:-1])
    return 1


def _is_mask(chain: Chain) -> bool:
    """Whether a chain makes a mask of an input of ones and zeros: behind the product, its zeros would be the difference of two
    large numbers.
    """
    affine, source = chain.affine, chain.source
    if affine.axis is not None or not affine.shifts or abs(float(affine.scale[0])) < _MASKS:
        return False
    while (maker := source.producer()) is not None and has_trait(maker, Trait.MOVES) and maker.inputs[0] is not None:
        source = maker.inputs[0]
    return source.is_graph_input()


def _form(affine: Affine) -> tuple[str, ...]:
    """The op types that compute a map."""
    if not affine.scales:
        return ("Add",) if affine.shifts else ()
    if not affine.shifts:
        return ("Mul",)
    return ("Sub",) if np.all(affine.scale == -1) else ("Mul", "Add")


def _in_order(node: ir.Node) -> bool:
    """Whether the constant of a node is where the canonical form has it."""
    return constant_operand(node)[2] == (node.op_type == "Sub")


def _shaped(array: Doubles, chain: Chain) -> NDArray[np.float32]:
    """The constant as it broadcasts along the axis of its chain: rank 0, or [C, 1...]."""
    if chain.affine.axis is None:
        return array.reshape(()).astype(np.float32)
    assert chain.source.shape is not None
    wide = np.broadcast_to(array, (int(max(chain.affine.scale.size, chain.affine.shift.size)),))
    return wide.reshape(-1, *[1] * (len(chain.source.shape) - 1 - chain.affine.axis)).astype(np.float32)


def _write_node(editor: Editor, node: ir.Node) -> int:
    """A constant that broadcasts in a way of its own: only the op and the order change."""
    if node.op_type not in ("Add", "Sub", "Mul", "Div") or node.domain or affine_of(node) is not None:
        return 0
    x, constant, first = constant_operand(node)
    if x is None or constant is None:
        return 0
    match node.op_type, first:
        case "Sub", False:
            editor.rewrite(node, "Add", [x, editor.constant(f"{node.name}/shift", -constant)])
        case "Div", False if np.all(constant != 0):
            inverse = (1 / constant.astype(np.float64)).astype(np.float32)
            editor.rewrite(node, "Mul", [x, editor.constant(f"{node.name}/scale", inverse)])
        case (("Add" | "Mul"), True):
            editor.rewrite(node, node.op_type, [x, node.inputs[0]])
        case _:
            return 0
    return 1
