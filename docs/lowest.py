"""Prints the oldest releases that pyproject.toml admits, as arguments for pip."""

import re
import tomllib
from pathlib import Path

data = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
print(" ".join(re.sub(r"^([\w-]+)>=([\w.]+).*", r"\1==\2", need) for need in data["project"]["dependencies"]))
