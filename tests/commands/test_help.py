"""Every verb and every option explains itself."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import click
import pytest
import typer

from ecgfl_cli.app import app

Ecgfl = Callable[..., Any]


def commands(
    command: click.Command, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            sub = command.get_command(context, name)
            assert sub is not None
            yield from commands(sub, (*path, name))


ALL = list(commands(typer.main.get_command(app)))
EXPECTED = {
    "init",
    "ingest",
    "validate",
    "segment",
    "dataset",
    "join",
    "predict",
    "evaluate",
    "model",
    "audit",
    "schedule",
    "doctor",
    "demo",
    "simulate",
    "coordinator",
}


def test_the_verbs_of_the_design_are_there() -> None:
    names = {" ".join(path) for path, _ in ALL}
    assert names >= EXPECTED
    assert names >= {f"dataset {verb}" for verb in ("list", "show", "remove")}
    assert names >= {f"audit {verb}" for verb in ("show", "head", "verify")}
    assert names >= {f"schedule {verb}" for verb in ("cron", "systemd", "windows")}
    assert names >= {
        f"model {verb}"
        for verb in ("list", "show", "use", "rollback", "verify", "export", "import")
    }
    assert names >= {
        f"coordinator {verb}" for verb in ("init", "enrol", "revoke", "sites", "serve", "status")
    }


@pytest.mark.parametrize(
    ("path", "command"), ALL, ids=[" ".join(path) or "ecgfl" for path, _ in ALL]
)
def test_every_command_and_option_has_help(path: tuple[str, ...], command: click.Command) -> None:
    assert command.help
    nameless = [
        parameter.name for parameter in command.params if not getattr(parameter, "help", None)
    ]
    assert not nameless, f"ecgfl {' '.join(path)}: no help for {', '.join(map(str, nameless))}"


@pytest.mark.parametrize(
    "path", [path for path, _ in ALL], ids=[" ".join(path) or "ecgfl" for path, _ in ALL]
)
def test_help_is_shown_and_ends_well(path: tuple[str, ...], ecgfl: Ecgfl) -> None:
    ran = ecgfl(*path, "--help")
    assert ran.code == 0
    assert "Usage: ecgfl" in ran.out
    assert ran.err == ""


def test_the_help_of_ingest_tells_of_explain(ecgfl: Ecgfl) -> None:
    assert "--explain" in ecgfl("ingest", "--help").out


@pytest.mark.parametrize(
    "path", [(), ("dataset",), ("model",), ("audit",), ("schedule",), ("coordinator",)]
)
def test_without_a_verb_the_help_is_shown_and_no_empty_complaint(
    path: tuple[str, ...], ecgfl: Ecgfl
) -> None:
    ran = ecgfl(*path)
    assert ran.code in (0, 2)
    assert "Usage: ecgfl" in ran.out + ran.err
    assert not [line for line in ran.problems if line.startswith("ecgfl: .")]


def test_the_version_is_shown(ecgfl: Ecgfl) -> None:
    from importlib.metadata import version

    ran = ecgfl("--version")
    assert (ran.code, ran.out) == (0, f"ecgfl {version('ecgfl')}\n")


def test_square_brackets_of_a_help_text_are_shown(ecgfl: Ecgfl) -> None:
    shown = {
        path: " ".join(re.sub(r"[\u2500-\u257f]", " ", ecgfl(*path, "--help").out).split())
        for path, _ in ALL
    }
    for path, command in ALL:
        texts = [
            command.help or "",
            *(getattr(parameter, "help", None) or "" for parameter in command.params),
        ]
        unescaped = " ".join(texts).replace("\\[", "[")
        for word in re.findall(r"\S*\[[a-z#/@]\S*", unescaped):
            assert word in shown[path], path
    assert "[[csv]]" in shown["ingest",]


@pytest.mark.parametrize("typed", [("predct",), ("model", "lst"), ("predict", "--forma", "x")])
def test_a_suggestion_is_made_once(ecgfl: Ecgfl, typed: tuple[str, ...]) -> None:
    (problem,) = ecgfl(*typed).problems
    assert problem.count("Did you mean") == 1
