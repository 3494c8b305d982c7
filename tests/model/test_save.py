from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import numpy_helper, parser

from qconv.errors import ModelError, OutputError
from qconv.model import save as module
from qconv.model.load import load
from qconv.model.save import replace_text, save, write_text
from qconv.model.session import check_file

from .files import linear, run, write

X = {"x": np.eye(3, dtype=np.float32)}


def model(scale: float = 1) -> ir.Model:
    proto = linear()
    weight = np.arange(6, dtype=np.float32).reshape(3, 2) * scale
    proto.graph.initializer[0].CopyFrom(numpy_helper.from_array(weight, "w"))
    proto.graph.initializer.append(numpy_helper.from_array(np.ones(1000, np.float32), "unused"))
    return ir.from_proto(proto)


def weights_of(path: Path) -> list[float]:
    return list(run(path, X)[0].ravel())


def test_what_is_saved_is_what_is_loaded(tmp_path: Path) -> None:
    save(model(), tmp_path / "m.onnx")
    assert names(tmp_path) == ["m.onnx"]
    assert weights_of(tmp_path / "m.onnx") == [0, 1, 2, 3, 4, 5]
    assert (tmp_path / "m.onnx").stat().st_mode & 0o777 == 0o666 & ~umask()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def umask() -> int:
    present = os.umask(0)
    os.umask(present)
    return present


def test_a_large_model_has_its_weights_beside_it(tmp_path: Path) -> None:
    target = tmp_path / "m.onnx"
    given = model()
    before = given.graph.initializers["unused"].const_value
    save(given, target, largest_single_file=1000)
    assert names(tmp_path) == ["m.onnx", "m.onnx.data"]
    assert (tmp_path / "m.onnx.data").stat().st_size == 4000
    assert given.graph.initializers["unused"].const_value is before
    assert weights_of(target) == [0, 1, 2, 3, 4, 5]
    again = load(target).ir
    assert isinstance(again.graph.initializers["unused"].const_value, ir.ExternalTensor)
    (tmp_path / "moved").mkdir()
    save(again, tmp_path / "moved" / "single.onnx")
    assert names(tmp_path / "moved") == ["single.onnx"]
    assert isinstance(again.graph.initializers["unused"].const_value, ir.ExternalTensor)


def test_weights_in_use_are_not_overwritten(tmp_path: Path) -> None:
    target = tmp_path / "m.onnx"
    save(model(), target, largest_single_file=1000)
    with pytest.raises(OutputError, match="holds the weights of the model that is being read"):
        save(load(target).ir, target, largest_single_file=1000)
    assert weights_of(target) == [0, 1, 2, 3, 4, 5]


def test_an_older_file_is_replaced(tmp_path: Path) -> None:
    target = tmp_path / "m.onnx"
    for limit in (1 << 20, 1000):
        save(model(), target, largest_single_file=limit)
        save(model(2), target, largest_single_file=limit)
        assert weights_of(target) == [0, 2, 4, 6, 8, 10]


def test_an_invalid_model_is_not_written(tmp_path: Path) -> None:
    wrong = model()
    wrong.graph[0].op_type = "Relu"  # two inputs
    with pytest.raises(ModelError, match="the model to be written is not valid ONNX") as refusal:
        save(wrong, tmp_path / "m.onnx")
    assert "\n" not in str(refusal.value)
    assert names(tmp_path) == []


def test_a_model_that_onnxruntime_refuses_is_not_written(tmp_path: Path) -> None:
    text = """<ir_version: 10, opset_import: ["" : 21]> g (bfloat16[2] x) => (bfloat16[2] y) { y = Softplus(x) }"""
    (tmp_path / "m.onnx").write_text("older")
    with pytest.raises(ModelError, match=r"onnxruntime cannot run m\.onnx"):
        save(ir.from_proto(parser.parse_model(text)), tmp_path / "m.onnx")
    assert names(tmp_path) == ["m.onnx"]
    assert (tmp_path / "m.onnx").read_text() == "older"


def test_shapes_of_onnxruntime_ops_are_written(tmp_path: Path) -> None:
    text = """<ir_version: 10, opset_import: ["" : 21, "com.microsoft" : 1]>
    g (float[2] x) => (float[2] y) { a = com.microsoft.Gelu(x)  y = Relu(a) }"""
    given = ir.from_proto(parser.parse_model(text))
    given.graph[0].outputs[0].shape = ir.Shape(["N"])
    given.graph[0].outputs[0].dtype = ir.DataType.FLOAT
    save(given, tmp_path / "m.onnx")
    info = onnx.load(tmp_path / "m.onnx").graph.value_info[0]
    assert (info.name, info.type.tensor_type.elem_type, info.type.tensor_type.shape.dim[0].dim_param) == ("a", 1, "N")


@pytest.mark.parametrize("name", ["missing/m.onnx", "folder", "/dev/null", "/proc/m.onnx"])
def test_places_that_cannot_be_written(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError) as refusal:
        save(model(), tmp_path / name)
    assert "\n" not in str(refusal.value)
    with pytest.raises(OutputError):
        write_text(tmp_path / name, "text")
    assert names(tmp_path) == ["folder"]
    assert not Path("/dev/null").is_file()


LIMITED = """
import resource, signal, sys
from pathlib import Path
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from qconv.errors import OutputError
from qconv.model.load import load
from qconv.model.save import replace_text, save, write_text
model = load(sys.argv[1]).ir
target = Path(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
for size in (1 << 20, 1000, None):
    try:
        save(model, target, largest_single_file=size) if size else write_text(target, "t" * 5000)
    except OutputError as error:
        print(error)
"""


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    """A limit on the size of files stands in for the full disk: the system refuses the write half-way."""
    source = write(tmp_path, ir.to_proto(model()), "source.onnx")
    (tmp_path / "out").mkdir()
    target = tmp_path / "out" / "m.onnx"
    done = subprocess.run([sys.executable, "-c", LIMITED, source, target], capture_output=True, text=True, check=True)
    assert [line.startswith(f"{target} cannot be written: ") for line in done.stdout.splitlines()] == [True] * 3, done.stdout
    assert names(tmp_path / "out") == []


@pytest.mark.parametrize("limit", [1 << 20, 1000])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")])
@pytest.mark.parametrize("moment", ["checking", "renaming"])
def test_an_interruption_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str, error: BaseException, limit: int
) -> None:
    target = tmp_path / "m.onnx"
    save(model(), target, largest_single_file=limit)
    present = names(tmp_path)
    rename = Path.replace

    def fail(*_: object, **__: object) -> None:
        raise error

    def fail_for_the_model(path: Path, to: Path) -> None:
        if to == target:
            raise error
        rename(path, to)

    monkeypatch.setattr(module, "check_file", fail if moment == "checking" else check_file)
    monkeypatch.setattr(Path, "replace", rename if moment == "checking" else fail_for_the_model)
    with pytest.raises(KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else OutputError):
        save(model(2), target, largest_single_file=limit)
    monkeypatch.undo()
    assert names(tmp_path) == present
    assert weights_of(target) == [0, 1, 2, 3, 4, 5]


def test_text_is_written_whole(tmp_path: Path) -> None:
    write_text(tmp_path / "a.json", "first")
    write_text(tmp_path / "a.json", "größer")
    assert (tmp_path / "a.json").read_bytes() == "größer".encode()
    assert names(tmp_path) == ["a.json"]


def test_text_is_replaced_whole_and_drafts_do_not_pile_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace_text(tmp_path / "p", "first")

    def die(_: int) -> None:
        raise KeyboardInterrupt

    for _ in range(3):
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", die)
            with pytest.raises(KeyboardInterrupt):
                replace_text(tmp_path / "p", "second")
    assert (tmp_path / "p").read_text() == "first"
    assert names(tmp_path) == ["p", "p.new"]
    replace_text(tmp_path / "p", "größer")
    assert (tmp_path / "p").read_bytes() == "größer".encode()
    assert names(tmp_path) == ["p"]


def test_text_that_cannot_be_replaced(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        replace_text(tmp_path / "nowhere" / "p", "x")
