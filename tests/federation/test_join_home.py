"""What a home must hold before it can join, and who may use it."""

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from federation_homes import Homes, ecgfl
from node_processes import Processes, contents, told
from shared_runs import Waiting

from ecgfl_cli.logs import Event

JOIN = ("join", "--server", "localhost:1", "--once", "--max-wait", "1s")


def test_a_home_that_is_none_is_a_usage_error(tmp_path: Path) -> None:
    assert "ecgfl init" in told(tmp_path / "nowhere", *JOIN).refused(2)
    assert not (tmp_path / "nowhere").exists()


def test_without_a_federation_file_it_is_a_usage_error(homes: Homes) -> None:
    home = homes.site("alice")
    home.federation.unlink()
    before = contents(home.root)
    assert "federation.json" in told(home.root, *JOIN).refused(2)
    assert contents(home.root) == before


Change = Callable[[dict[str, str]], object]
BROKEN: dict[str, Change] = {
    "no-name": lambda content: content.pop("server_name"),
    "another-schema": lambda content: content.update(schema="ecgfl.federation/9"),
    "a-field-more": lambda content: content.update(extra="x"),
    "no-certificate": lambda content: content.update(ca_certificate="-----BEGIN CERTIFICATE-----"),
    "a-short-key": lambda content: content.update(signing_public_key="AAAA"),
    "no-base64": lambda content: content.update(signing_public_key="*" * 44),
}


@pytest.mark.parametrize("change", BROKEN.values(), ids=BROKEN)
def test_a_field_of_the_federation_file_that_is_wrong_is_named(
    homes: Homes, change: Change
) -> None:
    home = homes.site("alice")
    content = json.loads(home.federation.read_bytes())
    change(content)
    home.federation.write_text(json.dumps(content))
    assert str(home.federation) in told(home.root, *JOIN).refused(3)


@pytest.mark.parametrize(
    "words", [b"", b"{", b"\xff\xfe\x00", b"[]", b'{"schema":' + b" " * 200_000]
)
def test_a_federation_file_of_anything_else_is_unusable(homes: Homes, words: bytes) -> None:
    home = homes.site("alice")
    home.federation.write_bytes(words)
    assert str(home.federation) in told(home.root, *JOIN).refused(3)


def test_without_usable_recordings_there_is_nothing_to_join_for(
    homes: Homes, tmp_path: Path
) -> None:
    ecgfl(
        tmp_path / "empty",
        "init",
        "--site",
        "empty",
        "--federation",
        str(homes.coordinator_home.federation),
    )
    assert "ecgfl ingest" in told(tmp_path / "empty", *JOIN).refused(3)


@pytest.mark.parametrize("words", [None, b"", b"no key"])
def test_a_node_key_that_is_broken_is_unusable(homes: Homes, words: bytes | None) -> None:
    home = homes.site("alice")
    home.node_key.unlink()
    if words is not None:
        home.node_key.write_bytes(words)
    assert str(home.node_key) in told(home.root, *JOIN).refused(3)


def test_a_settings_file_that_is_broken_is_a_usage_error(homes: Homes) -> None:
    home = homes.site("alice")
    home.settings.write_text('[site]\nname = "alice"\n[policy]\nmax_local_epochs = 0\n')
    line = told(home.root, *JOIN).refused(2)
    assert "policy.max_local_epochs" in line
    assert "0" in line


def test_a_second_join_in_the_same_home_is_refused_at_once(
    waiting: Waiting, homes: Homes, processes: Processes
) -> None:
    home = homes.site("bob").root
    first = processes.join(home, waiting.port)
    first.wait_for(Event.CONNECTED)
    assert str(home) in processes.join(home, waiting.port).finish(30).refused(6)
    assert first.code is None
    # Killed, it would stay connected at the shared coordinator until its heartbeat is missed.
    first.send(signal.SIGTERM)
    first.finish(30)
