"""The picture in docs/architecture.md shows the layers of the import contracts."""

import re
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"][
    "importlinter"
]["contracts"]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
PICTURES = re.findall(r"```mermaid\n(.*?)```", PAGE, re.DOTALL)
ARROW = re.compile(r"^ *([\w.]+(?: & [\w.]+)*) --> ([\w.]+(?: & [\w.]+)*)$", re.MULTILINE)

Layer = frozenset[str]


def layers_of(contract: dict[str, Any]) -> list[list[Layer]]:
    """Return a contract's layers, highest first: one list, or one for each container."""
    layers = [re.findall(r"[\w.]+", layer) for layer in contract["layers"]]
    return [
        [
            frozenset(
                f"{container}.{name}".removeprefix(".").removeprefix("ecgfl_cli.") for name in layer
            )
            for layer in layers
        ]
        for container in contract.get("containers", [""])
    ]


def arrows_of(layers: list[Layer]) -> set[tuple[Layer, Layer]]:
    return set(pairwise(layers))


def drawn() -> set[tuple[Layer, Layer]]:
    """Return the arrows of the picture, as the nodes on both sides."""
    return {
        (frozenset(above.split(" & ")), frozenset(below.split(" & ")))
        for above, below in ARROW.findall(PICTURES[0])
    }


def line(arrow: tuple[Layer, Layer]) -> str:
    above, below = (" & ".join(sorted(layer)) for layer in arrow)
    return f"    {above} --> {below}"


def test_the_picture_shows_the_layers_of_every_contract() -> None:
    contracts = {
        arrow
        for contract in CONTRACTS
        if contract["type"] == "layers"
        for layers in layers_of(contract)
        for arrow in arrows_of(layers)
    }
    picture = drawn()
    missing = sorted(line(arrow) for arrow in contracts - picture)
    too_many = sorted(line(arrow) for arrow in picture - contracts)
    assert (missing, too_many) == ([], []), "\n".join(
        ["add to the picture:", *missing, "remove from it:", *too_many]
    )


def test_page_has_one_picture_that_parses() -> None:
    assert len(PICTURES) == 1
    understood = re.compile(rf"{ARROW.pattern}|^flowchart TD$|^ *(subgraph [\w. \[\]\"]+|end)$")
    for text in PICTURES[0].splitlines():
        assert understood.match(text), text


def test_every_package_is_described() -> None:
    described = set(re.findall(r"^\| `(?:ecgfl_cli|adapters)/(\w+)` \|", PAGE, re.MULTILINE))
    packages = {path.parent.name for path in (ROOT / "ecgfl_cli").glob("*/__init__.py")}
    assert described == packages | {"ecgfl_adapters"}
