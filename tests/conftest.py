"""What tests of all packages share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# A deadline would fail on a loaded machine.
settings.register_profile("qconv", deadline=None)
settings.load_profile("qconv")

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def zoo() -> Path:
    """The folder of pretrained models, found by QCONV_ZOO; tests that need it are skipped where it is absent."""
    folder = Path(os.environ.get("QCONV_ZOO", ROOT / ".." / "shared" / "zoo"))
    if not folder.is_dir():
        pytest.skip("no zoo: set QCONV_ZOO to the folder of pretrained models")
    return folder


@pytest.fixture(scope="session")
def sample_models() -> Path:
    """The folder of the networks and samples that come with qconv."""
    return ROOT / "sample_models"
