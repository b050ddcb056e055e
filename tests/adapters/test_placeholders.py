"""Texts that identify nobody."""

import pytest
from ecgfl_adapters.placeholders import is_placeholder


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            " ",
            "X",
            "X X X",
            "X X X X",
            "X X X Anonymous",
            "anonym",
            "ANONYMOUS",
            "Anónimo",
            "Unknown",
            "unbekannt",
        ),
        *(
            "NN",
            "N.N.",
            "n/a",
            "Test",
            "Test Patient",
            "Patient",
            "Patient Name",
            "0000",
            "-",
            "--",
            "?",
            "___",
            "99999",
            "None",
        ),
        *(
            "X M X X",
            "X F 02-MAY-1951 X",
            "anonymous M 65",
            "No Name",
            "DOE^JOHN",
            "not available",
            "匿名",
        ),
        *(
            "n/a F X N/A",
            "N.N., N/A",
            "Unknown^Unknown",
            "Anonymous Patient",
            "X, X",
            "Muster",
            "0",
            "patient_id",
        ),
    ],
)
def test_identifies_nobody(text: str) -> None:
    assert is_placeholder(text)


@pytest.mark.parametrize(
    "text",
    [
        "A1",
        "12",
        "100",
        "Patient 12",
        "P000",
        "Haagse Harry",
        "MCH-0234567 F 02-MAY-1951 Haagse_Harry",
        "Li Na",
        "N.N. Meier",
        "1",
        "007",
        "Mann Thomas",
        "李娜",
    ],
)
def test_identifies_somebody(text: str) -> None:
    assert not is_placeholder(text)
