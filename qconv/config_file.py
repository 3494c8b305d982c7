"""Settings from a TOML file: those of the flags, and rules for parts of a network.

weight-bits = 4
exclude = ["head/*"]

[[rule]]
match = ["conv1", "Gemm"]
weight-bits = 8
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qconv.arguments import checks_arguments
from qconv.config import QuantConfig, Rule
from qconv.errors import UsageError
from qconv.model.near_paths import unreadable
from qconv.model.text_files import read_text

Kinds = Mapping[str, tuple[str, type | tuple[type, ...]]]

# Key -> what its value is, as a person says it; the keys are those flags of `qconv quantize` that QuantConfig knows.
_KINDS: Kinds = {
    "bits": ("a whole number", int),
    "weight-bits": ("a whole number", int),
    "activation-bits": ("a whole number", int),
    "per-tensor": ("true or false", bool),
    "exclude": ("a list of patterns", list),
    "integer-only": ("true or false", bool),
    "pin": ("a list of NAME=VALUE", list),
    "io": ("a word", str),
    "method": ("a word", str),
    "percentile": ("a number", (int, float)),
    "pow2": ("true or false", bool),
    "dyadic": ("true or false", bool),
    "levels": ("a word", str),
    "target": ("a word", str),
    "effort": ("a word", str),
    "mode": ("a word", str),
    "group": ("a whole number", int),
    "no-tune": ("true or false", bool),
    "prefer": ("a word", str),
}
_RULE_KINDS: Kinds = {
    "match": ("a list of patterns", list),
    "weight-bits": ("a whole number", int),
    "activation-bits": ("a whole number", int),
    "per-tensor": ("true or false", bool),
    "method": ("a word", str),
    "levels": ("a word", str),
    "float": ("true or false", bool),
}


@dataclass(frozen=True)
class Settings:
    """What a file asks for: values by the name of the flag without dashes at its front, and rules."""

    values: Mapping[str, Any]
    rules: tuple[Rule, ...]


def read_settings(path: str | Path, kinds: Kinds = _KINDS) -> Settings:
    """The settings in a file whose keys are those of `kinds`.

    Raises UsageError for a file that cannot be read, and for keys or values that there are not.
    """
    try:
        data = tomllib.loads(read_text(path))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(unreadable("file of settings", path, error)) from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"the settings {path} are not valid TOML ({error}); mend that line") from None
    except (RecursionError, ValueError) as error:  # nested too deeply, or a number of thousands of digits
        raise UsageError(f"the settings {path} are not valid TOML ({error}); mend the file") from None
    rules = data.pop("rule", [])
    if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
        raise UsageError(f"{path}: rules are written as tables, each under a line [[rule]]")
    _check(data, kinds, str(path))
    return Settings(data, tuple(_rule(rule, f"{path}, rule {number}") for number, rule in enumerate(rules, 1)))


@checks_arguments
def load_config(path: str | Path) -> QuantConfig:
    """The settings of a file as a config. Raises UsageError."""
    settings = read_settings(path)
    values = {key.replace("-", "_"): value for key, value in settings.values.items()}
    bits = values.pop("bits", None)
    both = {} if bits is None else {"weight_bits": bits, "activation_bits": bits}
    if "percentile" in values:
        values["percent"] = values.pop("percentile")
    return QuantConfig(**{**both, **values}, rules=settings.rules)


def _rule(data: dict[str, Any], where: str) -> Rule:
    _check(data, _RULE_KINDS, where)
    if not data.get("match"):
        raise UsageError(f"{where} has no patterns; give match = [...] with names of nodes or tensors, or op types")
    try:
        return Rule(
            data["match"], data.get("weight-bits"), data.get("activation-bits"), data.get("per-tensor"), data.get("method"),
            data.get("float", False), data.get("levels"),
        )  # fmt: skip
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from None


def _check(data: Mapping[str, Any], kinds: Kinds, where: str) -> None:
    for key, value in data.items():
        if key not in kinds:
            close = difflib.get_close_matches(key, kinds, 1)
            hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(kinds)}"
            raise UsageError(f"{where} has the unknown key {key!r}; {hint}")
        what, kind = kinds[key]
        wrong = not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool)
        if wrong or (kind is list and not all(isinstance(pattern, str) for pattern in value)):
            raise UsageError(f"{where}: {key} is {what}, not {value!r}")
