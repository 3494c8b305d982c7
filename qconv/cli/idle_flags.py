"""Options that would have no effect beside others are refused, so that nobody believes that they had one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import click
from click.core import ParameterSource

# Everything that is decided in a plan.
_DECIDED_BY_PLAN = ("bits", "weight_bits", "activation_bits", "method", "percentile", "per_tensor", "levels", "exclude", "prefer")

# What decides parameters, levels and steps that modes with activations in float have none of.
_STATIC_ONLY = (
    "activation_bits", "method", "percentile", "io", "encodings", "plan", "save_plan", "levels", "no_tune", "prefer",
    "budget", "max_drop", "min_sqnr", "time_limit",
)  # fmt: skip
_WITHOUT_EFFECT = {
    "static": ("group",),
    "weight-only": (*_STATIC_ONLY, "per_tensor", "target"),
    "dynamic": (*_STATIC_ONLY, "group", "effort"),
}


def refuse_idle_flags(context: click.Context) -> None:
    """Raises click.UsageError for options of `qconv quantize` that those beside them leave without effect."""
    given = [parameter for parameter in context.command.params if _is_given(context, parameter)]
    names = {str(parameter.name): parameter.opts[-1] for parameter in given}
    idle = [names[name] for name in _DECIDED_BY_PLAN if name in names]
    planned = context.params["plan"] is not None
    if planned and idle:
        raise click.UsageError(f"{', '.join(idle)}: no effect beside --plan, which decides it; leave one of them out")
    goals = [names[name] for name in ("budget", "max_drop", "min_sqnr", "time_limit") if name in names]
    if planned and goals:
        raise click.UsageError(f"{', '.join(goals)}: no effect beside --plan, which decides everything; leave one of them out")
    if "budget" in names and len(goals) > 1:
        raise click.UsageError(f"--budget and {goals[1]} do not go together; leave one of them out")
    if goals == [names.get("time_limit")]:
        raise click.UsageError("--time-limit bounds the attempts of --max-drop or --min-sqnr; give one of them")
    _refuse_in_mode(context.params["mode"], names)
    if context.params["method"] is not None:
        refuse_idle_percentile(context, context.params["method"])


def refuse_idle_percentile(context: click.Context, method: str) -> None:
    """Raises click.UsageError where --percentile is given, and the method is another one, if only by default."""
    parameter = next(parameter for parameter in context.command.params if parameter.name == "percentile")
    if method != "percentile" and _is_given(context, parameter):
        raise click.UsageError(f"--percentile has no effect on method {method}; leave it out, or choose --method percentile")


def _refuse_in_mode(mode: str, names: Mapping[str, str]) -> None:
    """Raises click.UsageError for options that the mode knows nothing to do with."""
    idle = [names[name] for name in _WITHOUT_EFFECT[mode] if name in names]
    if idle:
        raise click.UsageError(f"{', '.join(idle)}: no effect in mode {mode}; leave {_them(idle)} out")


def _them(options: Sequence[str]) -> str:
    return "it" if len(options) == 1 else "them"


def _is_given(context: click.Context, parameter: click.Parameter) -> bool:
    return context.get_parameter_source(str(parameter.name)) not in (ParameterSource.DEFAULT, ParameterSource.DEFAULT_MAP, None)
