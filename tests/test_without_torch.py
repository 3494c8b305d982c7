"""Nothing but `qconv.train` needs torch, and that says so."""

from __future__ import annotations

import sys

import pytest


def test_training_without_torch_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    for name in [name for name in sys.modules if name.startswith("qconv.train")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ImportError, match=r"qconv\.train needs torch; install it with: pip install 'qconv\[train\]'"):
        import qconv.train  # noqa: F401
