"""Operators that find or use places of elements which depend on the data: TopK, GatherElements, ScatterElements."""

from __future__ import annotations

import numpy as np

from qconv.export.network import Tensor
from qconv.export.tracer import Tracer, no_form
from qconv.integer.step import Step


def top_k(trace: Tracer, step: Step) -> None:
    """Adds the places of the best elements, and the elements at them."""
    x, k = step.operand(0), step.operand(1)
    if k.value in trace.dynamic:
        raise no_form(step)
    axis = step.geometry.integer("axis", -1) % trace.values(x).ndim
    values, places = step.writes[0], step.writes[1] if len(step.writes) > 1 and step.writes[1].is_read else None
    name = f"{values.name}/places" if places is None else trace.add(places)
    if places is None:
        trace.tensors[name] = Tensor(name, np.dtype(np.int64), trace.values(values).shape)
    attributes = {"axis": axis, "k": int(trace.values(k).reshape(())), "largest": step.geometry.integer("largest", 1)}
    trace.emit(step, "top", [trace.name(x)], dict(attributes), output=name)
    if values.is_read:
        trace.emit(step, "pick", [trace.name(x), name], {"axis": axis})


def gather_elements(trace: Tracer, step: Step) -> None:
    """Adds elements at places along an axis, one for each element of the output."""
    axis = step.geometry.integer("axis", 0) % trace.values(step.operand(0)).ndim
    trace.emit(step, "pick", [trace.name(operand) for operand in step.reads], {"axis": axis})


def scatter_elements(trace: Tracer, step: Step) -> None:
    """Adds data with other elements at places along an axis, the last one where several go to one place."""
    if step.geometry.text("reduction", "none") != "none":
        raise no_form(step)
    axis = step.geometry.integer("axis", 0) % trace.values(step.operand(0)).ndim
    trace.emit(step, "put", [trace.name(step.operand(index)) for index in range(3)], {"axis": axis})
