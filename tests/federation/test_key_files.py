"""A key file that cannot be read now is not a key that was revoked."""

import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest
from fake_rounds import PLAN
from federation_homes import SITES, Homes, ecgfl
from log_lines import Heard
from node_processes import told

from ecgfl_cli.federation.coordinator.identity import enrolment
from ecgfl_cli.federation.coordinator.identity.enrolment import enrolled_sites
from ecgfl_cli.federation.coordinator.rounds.connected_sites import ConnectedSites


class SuperLink:
    """Nobody is connected. names : of the registered sites."""

    def __init__(self) -> None:
        self.names: dict[int, str] = {}

    def register(self, key: object, name: str) -> int:  # noqa: ARG002
        node = len(self.names) + 1
        self.names[node] = name
        return node

    def unregister(self, node: int) -> None:
        del self.names[node]

    def online(self) -> dict[int, str]:
        return {}

    def last_contacts(self) -> dict[int, object]:
        return {}


class Watched:
    def __init__(self, homes: Homes) -> None:
        self.link, self._heard = SuperLink(), Heard()
        self.sites = ConnectedSites(homes.coordinator_home, self.link, replace(PLAN))  # type: ignore[arg-type]

    @property
    def said(self) -> list[str]:
        return self._heard.lines

    def look(self) -> list[str]:
        self.sites.online()
        return sorted(self.link.names.values())


def refuse(number: int, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """Let listing a folder, looking at a file or reading one fail with an error number."""

    def failing(*arguments: object, **options: object) -> None:  # noqa: ARG001
        raise OSError(number, os.strerror(number))

    if what == "list":
        monkeypatch.setattr(enrolment.os, "listdir", failing)
    elif what == "read":
        enrolment._read_site.cache_clear()
        monkeypatch.setattr(enrolment, "read_bounded", failing)
    else:
        stat = Path.stat
        monkeypatch.setattr(
            Path,
            "stat",
            lambda self, **more: failing() if self.suffix == ".pub" else stat(self, **more),
        )


@pytest.mark.parametrize("what", ["list", "stat", "read"])
@pytest.mark.parametrize(
    "number",
    [errno.EMFILE, errno.ENFILE, errno.EIO, errno.EACCES],
    ids=lambda each: errno.errorcode[each],
)
def test_a_registered_site_stays(
    homes: Homes, monkeypatch: pytest.MonkeyPatch, number: int, what: str
) -> None:
    watched = Watched(homes)
    assert watched.look() == sorted(SITES)
    with monkeypatch.context() as patched:
        refuse(number, patched, what)
        for _ in range(2):
            assert watched.look() == sorted(SITES)
    assert not [line for line in watched.said if "revoked" in line]
    assert [line for line in watched.said if os.strerror(number) in line]
    assert len(watched.said) == len(set(watched.said))
    ecgfl(homes.coordinator, "coordinator", "revoke", "carol")
    assert watched.look() == ["alice", "bob"]


def test_a_revoked_site_goes_while_another_cannot_be_read(
    homes: Homes, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = Watched(homes)
    watched.look()
    (homes.coordinator_home.sites / "carol.pub").unlink()
    refuse(errno.EIO, monkeypatch, "read")
    assert watched.look() == ["alice", "bob"]


def test_what_is_no_key_is_left_out(homes: Homes) -> None:
    watched = Watched(homes)
    watched.look()
    (homes.coordinator_home.sites / "bob.pub").write_text("x" * 20_000)
    (homes.coordinator_home.sites / "carol.pub").write_text("ssh-rsa AAAA")
    assert watched.look() == ["alice"]


def test_without_a_folder_nobody_is_enrolled(homes: Homes) -> None:
    for path in homes.coordinator_home.sites.iterdir():
        path.unlink()
    homes.coordinator_home.sites.rmdir()
    assert enrolled_sites(homes.coordinator_home) == []


@pytest.mark.parametrize("name", ["con", "NUL", "aux.ward", "com1"])
def test_a_windows_device_is_no_site(homes: Homes, tmp_path: Path, name: str) -> None:
    key = str(homes.site("alice").node_public_key)
    assert "not a valid site name" in told(
        homes.coordinator, "coordinator", "enrol", key, "--site", name
    ).refused(2)
    assert "not a valid site name" in told(tmp_path / "home", "init", "--site", name).refused(2)
