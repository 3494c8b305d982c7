"""Files made to harm: each is refused before anything is allocated or opened."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from qconv.errors import ModelError
from qconv.model.load import load
from qconv.model.tensors import check_tensors

from .files import external, linear, run, write

WEIGHT = np.arange(6, dtype=np.float32).reshape(3, 2)
HUGE = 1 << 40


def tensor(**fields: object) -> onnx.TensorProto:
    proto = TensorProto(name="w", data_type=TensorProto.FLOAT)
    for name, value in fields.items():
        if isinstance(value, list):
            getattr(proto, name).extend(value)
        else:
            setattr(proto, name, value)
    return proto


DAMAGED = {
    "too few bytes": (tensor(dims=[3, 2], raw_data=bytes(20)), "needs 24 bytes but the file has 20"),
    "too many bytes": (tensor(dims=[3, 2], raw_data=bytes(28)), "needs 24 bytes but the file has 28"),
    "no bytes at all": (tensor(dims=[HUGE]), "needs 1099511627776 elements but the file has 0"),
    "huge": (tensor(dims=[HUGE, HUGE], raw_data=bytes(4)), "impossible shape"),
    "huge but empty": (tensor(dims=[HUGE, HUGE, 0]), "impossible shape"),
    "overflow to the right size": (tensor(dims=[1 << 32, 1 << 32, 6], raw_data=bytes(24)), "impossible shape"),
    "negative": (tensor(dims=[-3, -2], raw_data=bytes(24)), "negative shape"),
    "too few elements": (tensor(dims=[3, 2], float_data=[1.0] * 5), "needs 6 elements but the file has 5"),
    "other field": (tensor(dims=[3, 2], int32_data=[1] * 6), "needs 6 elements but the file has 0"),
    "unknown type": (tensor(dims=[3, 2], data_type=99, raw_data=bytes(24)), "unknown element type 99"),
    "undefined type": (tensor(dims=[3, 2], data_type=0, raw_data=bytes(24)), "unknown element type 0"),
    "int4": (tensor(dims=[3], data_type=TensorProto.INT4, raw_data=bytes(3)), "needs 2 bytes but the file has 3"),
    "strings": (tensor(dims=[2], data_type=TensorProto.STRING, string_data=[b"a"]), "needs 2 elements but the file has 1"),
    "raw strings": (tensor(dims=[2], data_type=TensorProto.STRING, raw_data=b"ab"), "strings as raw bytes"),
}


def as_initializer(damaged: onnx.TensorProto) -> onnx.ModelProto:
    proto = linear()
    proto.graph.initializer[0].CopyFrom(damaged)
    return proto


def as_attribute(damaged: onnx.TensorProto) -> onnx.ModelProto:
    proto = linear()
    del proto.graph.initializer[:]
    proto.graph.node.insert(0, helper.make_node("Constant", [], ["w"], value=damaged))
    return proto


def as_list(damaged: onnx.TensorProto) -> onnx.ModelProto:
    proto = linear()
    proto.graph.node[0].attribute.append(helper.make_attribute("tensors", [damaged]))
    return proto


def in_subgraph(damaged: onnx.TensorProto) -> onnx.ModelProto:
    inner = helper.make_graph(
        [helper.make_node("Identity", ["w"], ["y"])], "inner", [], [helper.make_empty_tensor_value_info("y")]
    )
    inner.initializer.append(damaged)
    proto = linear()
    proto.graph.node[0].CopyFrom(helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner))
    return proto


def in_function(damaged: onnx.TensorProto) -> onnx.ModelProto:
    proto = linear()
    body = [helper.make_node("Constant", [], ["b"], value=damaged)]
    proto.functions.append(helper.make_function("my", "Body", [], ["b"], body, proto.opset_import))
    return proto


PLACES = [as_initializer, as_attribute, as_list, in_subgraph, in_function]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("case", DAMAGED)
def test_damaged_tensors_are_refused_wherever_they_are(
    tmp_path: Path, case: str, place: Callable[[onnx.TensorProto], onnx.ModelProto]
) -> None:
    damaged, sentence = DAMAGED[case]
    with pytest.raises(ModelError, match=sentence) as refusal:
        load(write(tmp_path, place(damaged)))
    assert "tensor 'w'" in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "location",
    ["../secret", "/etc/hostname", "sub/../../secret", "C:\\secret", "..\\secret", "", "link", "bad\0name", "*/_ORT_MEM_ADDR_/*"],
)
def test_external_data_stays_in_the_folder(
    tmp_path: Path, location: str, place: Callable[[onnx.TensorProto], onnx.ModelProto]
) -> None:
    (tmp_path / "secret").write_bytes(WEIGHT.tobytes())
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(ModelError, match=r"tensor 'w' has its data (at|in) .*(outside|leaves|not beside)"):
        load(write(folder, place(external("w", WEIGHT, location))))


def test_external_data_through_a_linked_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "w.bin").write_bytes(WEIGHT.tobytes())
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "sub").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ModelError, match="a link that leaves the folder"):
        load(write(folder, as_initializer(external("w", WEIGHT, "sub/w.bin"))))


def test_a_hard_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(WEIGHT.tobytes())
    (tmp_path / "w.bin").hardlink_to(tmp_path / "a.bin")
    with pytest.raises(ModelError, match="several hard links"):
        load(write(tmp_path, as_initializer(external("w", WEIGHT, "w.bin"))))


@pytest.mark.parametrize(
    ("key", "text", "sentence"),
    [
        ("offset", "-4", "has the offset '-4'"),
        ("offset", "9" * 30, "has the offset '9999"),
        ("offset", "4", "reaches beyond the end of w.bin"),
        ("length", "20", "needs 24 bytes but its external data has 20"),
        ("length", "x", "has the length 'x'"),
    ],
)
def test_external_sizes_are_checked(tmp_path: Path, key: str, text: str, sentence: str) -> None:
    (tmp_path / "w.bin").write_bytes(WEIGHT.tobytes())
    damaged = external("w", WEIGHT, "w.bin")
    next(entry for entry in damaged.external_data if entry.key == key).value = text
    with pytest.raises(ModelError, match=sentence):
        load(write(tmp_path, as_initializer(damaged)))


def test_sound_external_data_is_mapped_and_used(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "w.bin").write_bytes(bytes(8) + WEIGHT.tobytes())
    path = write(tmp_path, as_initializer(external("w", WEIGHT, "sub/w.bin", offset=8)))
    assert check_tensors(onnx.load(path, load_external_data=False), tmp_path) == [tmp_path / "sub" / "w.bin"]
    x = np.eye(3, dtype=np.float32)
    assert np.array_equal(run(load(path).ir, {"x": x})[0], WEIGHT)
