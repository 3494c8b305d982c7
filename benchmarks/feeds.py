"""What a sample of one network is. Imports next to nothing, so that a process whose memory is measured has only what it needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]
Feeds = dict[str, Array]  # input name -> array of one sample

ROOT = Path(__file__).resolve().parent.parent
