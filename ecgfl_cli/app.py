"""The `ecgfl` program: global options, exit codes and error messages."""

import os
import re
import signal
import sys
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import click
import typer
from ecgfl_adapters.errors import AdapterError
from platformdirs import user_data_path

from ecgfl_cli.commands.lazy_group import LazyGroup
from ecgfl_cli.console import Console, flush_streams, prepare_streams
from ecgfl_cli.errors import EcgflError, ExitCode, UnusableInput, UsageError
from ecgfl_cli.files import keep_private
from ecgfl_cli.logs import LogFormat
from ecgfl_cli.site.home import Home
from ecgfl_cli.site.passphrase import use_descriptor

GLOBAL_FLAGS = ("--json", "--quiet", "--debug")
GLOBAL_VALUES = ("--home", "--log-format", "--passphrase-fd")
"""Options that are accepted anywhere on the command line. Those in `GLOBAL_VALUES` take a value."""

app = typer.Typer(
    name="ecgfl",
    cls=LazyGroup,
    help="Train a shared PVC model on this hospital's ECGs; no recording leaves the building.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(is_requested: bool) -> None:
    if is_requested:
        from importlib import metadata  # takes a fifth of the time of --help

        print(f"ecgfl {metadata.version('ecgfl')}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    home: Annotated[
        Path | None, typer.Option("--home", envvar="ECGFL_HOME", help="This site's home folder.")
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print the result as one JSON object on stdout.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", help="Show only warnings and errors on stderr.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show details, and the traceback of an error.")
    ] = False,
    log_format: Annotated[
        LogFormat,
        typer.Option("--log-format", help="Form of the lines on stderr: text, or JSON lines."),
    ] = LogFormat.TEXT,
    passphrase_fd: Annotated[
        int | None,
        typer.Option(
            "--passphrase-fd",
            min=0,
            envvar="ECGFL_PASSPHRASE_FD",
            help=(
                "Read the passphrase of encrypted private keys from this file descriptor, e.g. 3 "
                "with `3< FILE`."
            ),
            metavar="N",
        ),
    ] = None,
    version: Annotated[  # noqa: ARG001
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Set the global options."""
    console = context.obj
    if home is not None:
        console.home = Home(_absolute(home))
    console.json = json
    console.quiet = quiet
    console.debug = debug
    console.log_format = log_format
    console.configure_log()
    use_descriptor(passphrase_fd)


def _absolute(home: Path) -> Path:
    try:
        return home.expanduser().absolute()
    except RuntimeError as error:
        raise UsageError(f"--home {home}: {error}", "Give the folder's path without ~") from error


def main() -> NoReturn:
    """Run the console script and exit.

    An error is one line on stderr and an exit code; --debug adds the traceback.
    """
    keep_private()
    signal.signal(signal.SIGTERM, _interrupt)
    prepare_streams()
    code = run(sys.argv[1:])
    code = flush_streams(code)
    if code == ExitCode.INTERRUPTED:
        # Python would wait for every thread, even for one that waits for a broken connection.
        os._exit(code)
    sys.exit(code)


def command_tree() -> click.Command:
    """Return the root command.

    It imports the module of each other command only when that command is used.
    """
    return typer.main.get_command(app)


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit code."""
    arguments = globals_first(arguments)
    console = Console(
        Home(default_home()),
        json="--json" in arguments,
        quiet="--quiet" in arguments,
        debug="--debug" in arguments,
        log_format=_log_format(arguments),
    )
    console.configure_log()
    try:
        code = int(
            command_tree().main(arguments, prog_name="ecgfl", standalone_mode=False, obj=console)
            or 0
        )
        if code == ExitCode.INTERRUPTED:  # typer converts KeyboardInterrupt into it
            raise KeyboardInterrupt
        return code
    except click.exceptions.NoArgsIsHelpError as error:
        sys.stderr.write(f"{error.format_message()}\n")  # the help, which quotes nobody
        return ExitCode.USAGE
    except SystemExit as error:
        if not isinstance(error.__context__, BrokenPipeError):
            raise
        return (
            ExitCode.DONE
        )  # click and rich raise this when the reader of a help text closes the pipe
    except (KeyboardInterrupt, click.exceptions.Abort):
        console.interrupted()
        return ExitCode.INTERRUPTED
    except Exception as error:
        if console.debug and not isinstance(error, click.ClickException):
            raise
        if isinstance(error, click.UsageError) and error.ctx is not None:
            console.verb = "-".join(error.ctx.command_path.split()[1:]) or console.verb
        known = explained(error)
        console.error(known)
        return known.exit_code


def _log_format(arguments: list[str]) -> LogFormat:
    """Return the form of the log before the command line is checked; errors in it are logged, too.

    Parameters
    ----------
    arguments
        The command line, with the global options first.
    """
    name = "--log-format"
    values = [after for before, after in pairwise(arguments) if before == name]
    values += [
        argument.removeprefix(f"{name}=")
        for argument in arguments
        if argument.startswith(f"{name}=")
    ]
    return LogFormat.JSON if LogFormat.JSON in values else LogFormat.TEXT


def explained(error: Exception) -> EcgflError:
    """Convert any error into one whose message says what to do."""
    if isinstance(error, EcgflError):
        return error
    if isinstance(error, AdapterError):
        return UnusableInput(f"{error.path}: {error.problem}", error.fix)
    if isinstance(error, click.ClickException):
        context = getattr(error, "ctx", None)
        return UsageError(
            _without_repeated_hint(error.format_message()).rstrip("."),
            f"See `{context.command_path if context else 'ecgfl'} --help`",
        )
    if isinstance(error, OSError) and error.filename is not None:
        return UnusableInput(
            f"{error.filename}: {error.strerror}",
            "Check that it exists, its permissions and the free space",
        )
    if isinstance(error, OSError) and error.errno is not None:  # of a file that is open already
        return UnusableInput(
            f"reading or writing failed: {error.strerror}",
            "Check the disk and its free space, and run it again",
        )
    return EcgflError(
        f"a bug in ecgfl: {type(error).__name__}: {error}",
        "Run it again with --debug and send us what it prints",
    )


def _without_repeated_hint(message: str) -> str:
    """Remove the second "Did you mean": typer and click both add one."""
    return re.sub(r"( Did you mean [^?]*\?)\1", r"\1", message)


def globals_first(arguments: list[str]) -> list[str]:
    """Move the global options to the front, where click expects them, unless they follow a "--"."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    globals_: list[str] = []
    others: list[str] = []
    remaining = iter(arguments[:end])
    for argument in remaining:
        if argument in GLOBAL_FLAGS or argument.startswith(
            tuple(f"{name}=" for name in GLOBAL_VALUES)
        ):
            globals_.append(argument)
        elif argument in GLOBAL_VALUES:
            globals_ += [
                argument,
                *(value for value in [next(remaining, None)] if value is not None),
            ]
        else:
            others.append(argument)
    return globals_ + others + arguments[end:]


def default_home() -> Path:
    """Return the home that is used without --home."""
    return user_data_path("ecgfl", appauthor=False)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001
    raise KeyboardInterrupt
