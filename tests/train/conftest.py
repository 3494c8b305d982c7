"""Only where torch is: `make test-train`."""

from __future__ import annotations

import importlib.util

import pytest

collect_ignore_glob = [] if importlib.util.find_spec("torch") else ["test_*.py"]


@pytest.fixture(autouse=True)
def seeded() -> None:
    """The same numbers in every run; one thread, so that sums have one order."""
    import torch

    torch.manual_seed(0)
    torch.set_num_threads(1)
    return
