"""The command line: finds the command, runs it, and turns every error into one or two lines."""

from __future__ import annotations

import importlib
import keyword
import os
import signal
import sys
from types import FrameType
from typing import Any

import click

from nas import __version__
from nas.errors import NasError

COMMANDS = {
    "profile": "Show what a space costs and what of it fits a limit, before a search.",
    "search": "Search a space for networks that are accurate and cheap on a target.",
    "resume": "Go on with a study that was interrupted, or give it more trials.",
    "import": "Import a study of another program: import optuna URL.",
    "studies": "List the studies of a store.",
    "show": "Show a study's trials, or one trial: STUDY or STUDY#TRIAL.",
    "front": "Show the Pareto front of a study.",
    "retarget": "Price every trial of a study on other targets: the front there, with no training.",
    "compare": "Compare studies: how much of the best front each had after so many trials.",
    "proxies": "Show which zero-cost proxies foretold what training found in a study.",
    "report": "Write a study as one HTML page that opens offline.",
    "export": "Export a trained trial: onnx, exported-program, python or weights.",
    "cost": "Price a trial, an architecture file, a published network or a module on targets.",
    "scale": "Scale a network to more or less work by depth, width and resolution.",
    "measure": "Measure a study's front, a trial, a published network or a module on this machine.",
    "calibrate": "Fit the predictions for this machine, or for another target, to measurements.",
    "targets": "List the hardware targets, or show one.",
    "spaces": "List the search spaces, or show one.",
    "blocks": "List the building blocks, or show one.",
    "plugins": "List the plugins with their hooks and errors, or check one: plugins check NAME.",
    "new-plugin": "Write a package for a new block, cost model, target, task, searcher, proxy or space.",
}
INTERRUPTED = 130


def _add_files(context: click.Context, parameter: click.Parameter, files: tuple[str, ...]) -> None:
    if files:
        from nas.plugins.files import add_plugin_files

        add_plugin_files(files)


plugin_option = click.option(
    "--plugin",
    multiple=True,
    metavar="FILE",
    is_eager=True,
    expose_value=False,
    callback=_add_files,
    help="Load this .py file as a plugin; repeatable.",
)


def _module_name(command: str) -> str:
    """``new-plugin`` is in ``new_plugin``; a word of Python itself gets an underscore: ``import_``."""
    name = command.replace("-", "_")
    return f"{name}_" if keyword.iskeyword(name) else name


def _with_plugin_option(command: click.Command) -> click.Command:
    """The command with ``--plugin``, which every command takes, before its ``--help``."""
    if not any(parameter.name == "plugin" for parameter in command.params):
        plugin_option(command)
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            _with_plugin_option(inner)
    return command


class Commands(click.Group):
    """Imports a command when it is called, so that ``nas --help`` stays quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands of the core, in the order of a user's work."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of the core, or else of a plugin."""
        if cmd_name in COMMANDS:
            module = importlib.import_module(f"nas.cli.{_module_name(cmd_name)}")
            return _with_plugin_option(module.command)
        if cmd_name.startswith("-"):
            return None
        from nas.plugins import default_registry

        commands = default_registry().commands
        return _with_plugin_option(commands[cmd_name].command) if cmd_name in commands else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list in ``nas --help``, written without importing any command."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))
        formatter.write_paragraph()
        formatter.write_text("Plugins may add more: 'nas plugins' lists them.")

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Offers the nearest command for one that does not exist."""
        from nas.errors import suggestion

        try:
            return super().resolve_command(ctx, args)
        except click.UsageError:
            from nas.plugins import default_registry

            known = [*COMMANDS, *default_registry().commands]
            raise click.UsageError(
                f"no such command {args[0]!r}. {suggestion(args[0], known, 'command')}", ctx
            ) from None


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="nas")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.option("--no-plugins", is_flag=True, help="Load the first-party plugins only.")
@plugin_option
def cli(debug: bool, no_plugins: bool) -> None:
    """Neural architecture search: accurate networks that are cheap on the named chip.

    \b
    nas search --space mobile --target a100
    """
    if no_plugins:
        os.environ["NAS_PLUGINS"] = "nas"  # the distribution


def main(arguments: list[str] | None = None) -> None:
    """The entry point of the command ``nas``; always ends in SystemExit."""
    words = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in words
    signal.signal(signal.SIGTERM, _terminate)
    try:
        code = cli.main(words, prog_name="nas", standalone_mode=False)
    except click.ClickException as error:
        code = _usage_error(error)
    except NasError as error:
        if debug:
            raise
        code = _fail(str(error), error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        code = _fail("interrupted", INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()
        code = 1
    except Exception as error:
        if debug:
            raise
        code = _fail(
            f"unexpected {type(error).__name__}: {error}\n"
            "This is a defect of nas or of a plugin: run again with 'nas --debug ...' for the traceback.",
            1,
        )
    raise SystemExit(code if isinstance(code, int) else 0)


def _usage_error(error: click.ClickException) -> int:
    hint = ""
    if isinstance(error, click.UsageError) and error.ctx is not None:
        hint = f"\nTry '{error.ctx.command_path} --help'."
    return _fail(error.format_message() + hint, error.exit_code)


def _fail(message: str, code: int) -> int:
    from nas.cli.output import printable

    click.echo(f"error: {printable(message)}", err=True)
    return code


def _terminate(number: int, frame: FrameType | None) -> Any:
    raise KeyboardInterrupt
