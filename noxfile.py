"""The checks of this repository. `nox` runs all, `nox -s lint` one; CONTRIBUTING.md describes them.

All sessions use the project environment `.venv`, because PyTorch is too large to install once per
session. nox itself is installed elsewhere: it needs a newer `packaging` than flwr allows.
"""

import os
import re
import shlex
import sys
from pathlib import Path

import nox

nox.options.sessions = [
    "environment",
    "lint",
    "types",
    "structure",
    "tests",
    "build",
]

ROOT = Path(__file__).resolve().parent
SCRIPTS = ROOT / ".venv" / ("Scripts" if os.name == "nt" else "bin")


def readme_commands() -> list[list[str]]:
    """Return the README's commands for the tests: the installation, and the test run."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    block = re.search(r"<!-- the test command -->\n```bash\n(.*?)\n```", readme, re.DOTALL)
    if block is None:
        raise ValueError("README.md has no test command below `<!-- the test command -->`")
    return [shlex.split(command) for command in block[1].split(" && ")]


def run(session: nox.Session, program: str, *arguments: str) -> None:
    """Run a program of the project environment."""
    if not SCRIPTS.is_dir():
        session.error("There is no .venv. Run `nox -s environment` first.")
    session.run(str(SCRIPTS / program), *arguments, external=True)


@nox.session(python=False)
def environment(session: nox.Session) -> None:
    """Create the project environment, or update it, as the README describes."""
    if not SCRIPTS.is_dir():
        session.run(sys.executable, "-m", "venv", str(ROOT / ".venv"), external=True)
    program, *arguments = readme_commands()[0]
    run(session, Path(program).name, *arguments)


@nox.session(python=False)
def lint(session: nox.Session) -> None:
    """Check the style and the format of the code."""
    run(session, "ruff", "check", ".")
    run(session, "ruff", "format", "--check", ".")


@nox.session(python=False)
def types(session: nox.Session) -> None:
    """Check the types."""
    run(session, "mypy")


@nox.session(python=False)
def structure(session: nox.Session) -> None:
    """Check the import contracts."""
    run(session, "lint-imports")


@nox.session(python=False)
def docs(session: nox.Session) -> None:
    """Check that the documents and the program agree."""
    run(session, "python", "-m", "pytest", "tests/docs", *session.posargs)


@nox.session(python=False)
def coverage(session: nox.Session) -> None:
    """Run the quick tests and check how much of the code they cover, in all processes."""
    run(session, "python", "-m", "pytest", "-m", "not slow", "--cov", *session.posargs)


@nox.session(python=False)
def tests(session: nox.Session) -> None:
    """Run the README's test command; arguments after `--` are added to it."""
    program, *arguments = readme_commands()[1]
    run(session, Path(program).name, *arguments, *session.posargs)


@nox.session(python=False)
def build(session: nox.Session) -> None:
    """Build the wheel, its bill of materials and their checksums."""
    session.run(str(ROOT / ".ci" / "build"), external=True)
