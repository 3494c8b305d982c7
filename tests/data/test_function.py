from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qconv.data.function import FunctionSource
from qconv.data.source import InputInfo, known_length
from qconv.errors import DataError

X = InputInfo("x", np.dtype(np.float32), (None, 3))
Y = InputInfo("y", np.dtype(np.int64), (None,))


def source(tmp_path: Path, body: str, inputs: list[InputInfo] | None = None) -> FunctionSource:
    path = tmp_path / "feeding.py"
    path.write_text(f"import numpy as np\n{body}\n")
    return FunctionSource(f"{path}:feeds", inputs or [X])


def test_mappings_and_batches(tmp_path: Path) -> None:
    body = "def feeds():\n    for n in (1, 2):\n        yield {'y': np.arange(n), 'x': np.ones((n, 3)) * n}"
    found = source(tmp_path, body, [X, Y])
    assert known_length(found) is None
    for _ in range(2):
        samples = list(found)
        assert [sample.feeds["x"].tolist() for sample in samples] == [[[1] * 3], [[2] * 3], [[2] * 3]]
        assert [sample.feeds["y"].tolist() for sample in samples] == [[0], [0], [1]]
        assert samples[2].name.endswith("feeding.py:feeds[2]")


def test_bare_arrays_for_one_input(tmp_path: Path) -> None:
    samples = list(source(tmp_path, "def feeds():\n    return [np.zeros(3), np.ones((1, 3))]"))
    assert [sample.feeds["x"].shape for sample in samples] == [(1, 3), (1, 3)]


def test_what_a_loader_for_training_gives(tmp_path: Path) -> None:
    body = "def feeds():\n    yield np.ones((2, 3), np.float32), np.array([4, 5])\n    yield [np.zeros((1, 3)), np.array([6])]"
    samples = list(source(tmp_path, body))
    assert [(sample.feeds["x"].tolist(), sample.label) for sample in samples] == [([[1] * 3], 4), ([[1] * 3], 5), ([[0] * 3], 6)]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("def feeds():\n    return 3", "it returned int, not an iterable"),
        ("def feeds():\n    yield np.zeros(3)\n    raise KeyError('gone')", "KeyError: 'gone'"),
        ("def feeds(a):\n    return []", "missing 1 required positional argument"),
        ("def feeds():\n    yield {'a': np.zeros(3), 'b': 1}", "has the arrays a, b, but the model's inputs are x"),
        ("def feeds():\n    yield np.zeros(4)", r"has shape \(4\), but input x"),
        ("def feeds():\n    yield np.zeros(3, np.uint8)", "is uint8, but input x takes float32"),
        ("import sys\ndef feeds():\n    yield np.zeros(3)\n    sys.exit('bye')", "SystemExit: bye"),
        ("def feeds():\n    yield [[1, 2], [3]]", r"feeds\[0\] is no array .*give rows of equal length"),
        ("def feeds():\n    yield np.zeros(3), 1, 2", r"has 3 parts; give 1"),
        ("def feeds():\n    yield np.full(3, np.nan)", r"feeds\[0\] holds NaN"),
    ],
)
def test_what_goes_wrong_is_one_sentence(body: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=reason) as caught:
        list(source(tmp_path, body))
    assert "feeding.py:feeds" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("no_such_module_here:feeds", "ModuleNotFoundError"),
        ("math:no_such_function", "AttributeError"),
        ("math:pi", "is not a function"),
        ("/nowhere/at_all.py:feeds", "FileNotFoundError"),
    ],
)
def test_imports_that_fail(spec: str, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        FunctionSource(spec, [X])


def test_what_looks_like_a_function() -> None:
    assert FunctionSource.understands("package.module:feeds") and FunctionSource.understands("some/file.py:feeds")
    assert not any(map(FunctionSource.understands, ["file.npz", "module:", ":feeds", "a:b:c", "module:1"]))
