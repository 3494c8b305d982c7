"""Options that every command has: --config, --quiet and --verbose, and the keys that a settings file may hold."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from qconv.cli.options import PATH, RULES

_NOT_SETTINGS = ("config", "help", "like", "quiet", "verbose")


def add_general_options(command: click.Command) -> None:
    """Gives a command the options that all have; --config counts first, so that it can set the defaults of the others."""
    command.params += [
        click.Option(
            ["--config"], type=PATH, is_eager=True, expose_value=False, callback=_read_settings, metavar="FILE",
            help="Settings in TOML, under the names of the flags, and rules for parts of the network; flags go on top.",
        ),
        click.Option(["-q", "--quiet"], is_flag=True, expose_value=False, callback=_quieter, help="Print warnings only."),
        click.Option(
            ["-v", "--verbose"], is_flag=True, expose_value=False, callback=_louder,
            help="Tell what each stage took, on standard error.",
        ),
    ]  # fmt: skip


def settings_of(command: click.Command) -> dict[str, tuple[str, type | tuple[type, ...]]]:
    """The keys of a settings file: long names of options without dashes at their front, and what a value is."""
    commands = command.commands.values() if isinstance(command, click.Group) else [command]
    found: dict[str, tuple[str, type | tuple[type, ...]]] = {}
    for one in commands:
        for parameter in one.params:
            if isinstance(parameter, click.Option) and str(parameter.name) not in _NOT_SETTINGS:
                found.setdefault(max(parameter.opts, key=len).removeprefix("--"), _kind(parameter))
    return dict(sorted(found.items()))


def _kind(option: click.Option) -> tuple[str, type | tuple[type, ...]]:
    if option.is_flag:
        return "true or false", bool
    if option.multiple:
        return "a list of patterns", list
    if isinstance(option.type, click.types.IntParamType | click.IntRange):
        return "a whole number", int
    if isinstance(option.type, click.types.FloatParamType | click.FloatRange):
        return "a number", (int, float)
    return "a word", str


def _read_settings(context: click.Context, parameter: click.Parameter, path: Path | None) -> None:
    if path is None:
        return
    from qconv.config_file import read_settings

    settings = read_settings(path, settings_of(context.find_root().command))
    set_defaults(context, settings.values)
    context.meta[RULES] = settings.rules


def set_defaults(context: click.Context, values: Mapping[str, object]) -> None:
    """Defaults for the options of a command, by the names of the flags; those that it does not have are left out."""
    known = {name.removeprefix("--"): str(p.name) for p in context.command.params for name in p.opts}
    given = {known[key]: value for key, value in values.items() if key in known}
    context.default_map = {**(context.default_map or {}), **given}


def _quieter(context: click.Context, parameter: click.Parameter, asked: bool) -> None:
    if asked:
        from qconv.cli import console

        console.be_quiet()


def _louder(context: click.Context, parameter: click.Parameter, asked: bool) -> None:
    if asked:
        from qconv.cli import console

        console.be_verbose()
