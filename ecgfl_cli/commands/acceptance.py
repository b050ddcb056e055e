"""Show the result of a model's acceptance test."""

from ecgfl_cli.console import Console
from ecgfl_cli.errors import ExitCode
from ecgfl_cli.training.acceptance import Verdict


def show_verdict(console: Console, version: str, verdict: Verdict) -> ExitCode:
    """Print whether a model was accepted.

    Parameters
    ----------
    console
        Shows it.
    version
        The model.
    verdict
        Result of its acceptance test at this site.

    Returns
    -------
    ExitCode
        That of the command; MODEL if the model was rejected.
    """
    if verdict.accepted:
        console.text(f"The current model is now {version}. Its acceptance test: {verdict.reason}.")
        return ExitCode.DONE
    console.problem(
        f"model {version} rejected; the current one stays: {verdict.reason}. To use it anyway: "
        f"`ecgfl model use {version}`"
    )
    return ExitCode.MODEL
