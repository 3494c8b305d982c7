"""The memory of onnxruntime's sessions: they share it, and give it back when something else needs as much."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper

_WASTE = 1 << 16  # bytes of a free block that go unused where less than all of it is asked for; onnxruntime lets 128 MB go


@cache
def share_memory() -> None:
    """Lets sessions of this process take their memory from one place, so that one uses what another has had before."""
    cpu = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
    ort.create_and_register_allocator(cpu, ort.OrtArenaCfg({"max_dead_bytes_per_chunk": _WASTE}))


def copied(array: NDArray[Any]) -> NDArray[Any]:
    """An output of a session that is to be held for long: the array that a run returns keeps much more from being given back."""
    return np.array(array)


def give_memory_back() -> None:
    """Gives to the system what sessions and arrays have had, and none of them holds."""
    options = ort.RunOptions()
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    _empty_session().run(None, {}, options)
    _trim()


@cache
def _empty_session() -> ort.InferenceSession:
    """A session that computes nothing: memory is given back at the end of a run."""
    share_memory()
    node = helper.make_node("Constant", [], ["y"], value_int=0)
    output = helper.make_tensor_value_info("y", TensorProto.INT64, [])
    model = helper.make_model(helper.make_graph([node], "empty", [], [output]), ir_version=10)
    model.opset_import[0].version = 21
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.use_env_allocators", "1")
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _trim() -> None:
    """Lets the C library give back what numpy has freed; others than glibc do so by themselves, or have no word for it."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
