"""Findings as scripts and commands see them."""

import json
from dataclasses import FrozenInstanceError

import pytest

from ecgfl_cli.quality.findings import Finding, Severity, is_usable, worst


def finding(severity: Severity, **fields: object) -> Finding:
    return Finding("code", severity, "message", "fix", **fields)  # type: ignore[arg-type]


def test_a_finding_can_be_written_as_json() -> None:
    written = json.loads(
        json.dumps(
            finding(Severity.WARNING, lead="II", start_s=1.0, value=0.5, limit="1..2").as_dict()
        )
    )
    assert written == {
        "code": "code",
        "severity": "warning",
        "message": "message",
        "fix": "fix",
        "lead": "II",
        "start_s": 1.0,
        "stop_s": None,
        "value": 0.5,
        "limit": "1..2",
    }


def test_numbers_that_json_has_no_word_for_are_written_as_words() -> None:
    written = json.dumps(
        finding(Severity.ERROR, value=float("inf"), limit=float("nan")).as_dict(), allow_nan=False
    )
    assert '"inf"' in written
    assert '"nan"' in written


def test_a_finding_does_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        finding(Severity.INFO).code = "other"  # type: ignore[misc]


def test_the_worst_of_several_findings_is_the_most_severe() -> None:
    assert (
        worst([finding(Severity.INFO), finding(Severity.ERROR), finding(Severity.WARNING)])
        is Severity.ERROR
    )
    assert worst([finding(Severity.INFO), finding(Severity.WARNING)]) is Severity.WARNING
    assert worst([]) is None


def test_only_an_error_makes_a_recording_unusable() -> None:
    assert is_usable([])
    assert is_usable([finding(Severity.INFO), finding(Severity.WARNING)])
    assert not is_usable([finding(Severity.WARNING), finding(Severity.ERROR)])
