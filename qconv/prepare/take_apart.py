"""Take what a Concat joined, and what is taken apart again behind it, from where it was before.

A state of two vectors in one tensor, as recurrent networks have, would have one scale for both. Nothing is computed but the
movement, so that each part goes its own way, with a scale of its own.
"""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes import common

from qconv.model.edit import Editor
from qconv.model.graph import is_float
from qconv.model.traits import Trait, has_trait

from .joined_parts import Joined


def take_apart(model: ir.Model) -> int:
    """Leads parts of joined tensors past the Concat, where they are taken out whole; returns their number."""
    editor, changes = Editor(model.graph), 0
    joined: dict[ir.Value, Joined] = {}
    for node in tuple(model.graph):
        if has_trait(node, Trait.JOINS) and is_float(node.outputs[0]):
            found = Joined.of(node)
            if found is not None and len(found.parts) > 1:
                joined[node.outputs[0]] = found
            continue
        before = joined.get(node.inputs[0]) if node.inputs and node.inputs[0] is not None and not node.domain else None
        if before is None:
            continue
        for output, behind in zip(node.outputs, before.moved(node), strict=False):
            if behind is not None and len(behind.parts) > 1:
                joined[output] = behind
            elif behind is not None and (output.uses() or output.is_graph_output()):
                _replace(editor, node, output, behind)
                changes += 1
    if changes:
        common.RemoveUnusedNodesPass()(model)
    return changes


def _replace(editor: Editor, node: ir.Node, output: ir.Value, behind: Joined) -> None:
    """A part takes the place of an output of a node, and its name where that is an output of the graph."""
    part, name = behind.parts[0], str(output.name)
    new = part.build(editor, node, name)
    if not output.is_graph_output():
        output.replace_all_uses_with(new)
        return
    if new is part.source:
        new = editor.insert_before(node, "Identity", [new], name=name, shape=new.shape)
    output.name = f"{name}/joined"
    output.replace_all_uses_with(new, replace_graph_outputs=True)
    new.name = name
