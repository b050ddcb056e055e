"""Pseudonyms: stable within a site, unconnectable between two."""

from pathlib import Path

import pytest

from ecgfl_cli.site.home import Home
from ecgfl_cli.site.keys import Pseudonyms, make_keys


@pytest.fixture
def home_of_another(tmp_path: Path) -> Home:
    home = Home(tmp_path / "another")
    home.root.mkdir()
    make_keys(home)
    return home


def test_a_pseudonym_is_stable_within_a_site(site: Path) -> None:
    assert Pseudonyms(Home(site)).name("patient", "Doe") == Pseudonyms(Home(site)).name(
        "patient", "Doe"
    )


def test_two_sites_have_different_pseudonyms_for_one_patient(
    site: Path, home_of_another: Home
) -> None:
    assert Pseudonyms(Home(site)).name("patient", "Doe") != Pseudonyms(home_of_another).name(
        "patient", "Doe"
    )


def test_pseudonyms_differ_by_identifier_and_kind(site: Path) -> None:
    names = Pseudonyms(Home(site))
    assert (
        len(
            {
                names.name(kind, who)
                for kind in ("patient", "record")
                for who in ("Doe", "Roe", "doe", "")
            }
        )
        == 8
    )


def test_a_pseudonym_shows_nothing_of_what_it_stands_for(site: Path) -> None:
    name = Pseudonyms(Home(site)).name("patient", "Doe")
    assert len(name) == 16
    assert set(name) <= set("0123456789abcdef")


def test_the_text_and_its_bytes_are_the_same_identifier(site: Path) -> None:
    names = Pseudonyms(Home(site))
    assert names.name("patient", "Müller") == names.name("patient", "Müller".encode())
