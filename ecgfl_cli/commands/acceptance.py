"""What a person is told of a model's acceptance test."""

from typing import TYPE_CHECKING

from ecgfl_cli.console import Console
from ecgfl_cli.errors import ExitCode

if TYPE_CHECKING:
    from ecgfl_cli.training.acceptance import Verdict


def show_verdict(console: Console, version: str, verdict: "Verdict") -> ExitCode:
    """Say it, and give the exit code that stands for it."""
    if verdict.accepted:
        console.text(f"The current model is now {version}. Its acceptance test: {verdict.reason}.")
        return ExitCode.DONE
    console.problem(
        f"model {version} rejected, the current one stays: {verdict.reason}. To take it all the "
        f"same: `ecgfl model use {version}`"
    )
    return ExitCode.MODEL
