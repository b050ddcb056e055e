"""Genuine recordings: no false alarm, and the defects they really have."""

from pathlib import Path

import numpy as np
import pytest
from ecgfl_adapters.discovery import read
from ecgfl_adapters.errors import UnitUnknown
from ecgfl_adapters.protocol import ReadOptions
from ecgfl_adapters.recording import Recording
from numpy.typing import NDArray
from sleepecg import detect_heartbeats

from ecgfl_cli.quality.checks import check
from ecgfl_cli.quality.findings import Finding, Severity

# What check() says about the 91 records of mitdb, svdb and nstdb, all of it looked at and true: 116 and 223 sit at the
# amplifier's rail for 2 s and more, a third of 208's PVCs escape this detector, 860 is labelled past its end.
KNOWN = {
    ("116", "clipping"),
    ("208", "labels-off-peak"),
    ("223", "clipping"),
    ("860", "labels-outside"),
}


def detected(recording: Recording) -> NDArray[np.int64]:
    signal = np.nan_to_num(recording.leads[0].samples.astype(np.float64))
    return np.asarray(detect_heartbeats(signal, recording.fs), dtype=np.int64)


def findings_of(path: Path) -> list[Finding]:
    try:
        recording = read(path, format="auto", options=ReadOptions())
    except UnitUnknown:
        # Half of svdb's headers leave the gain at 0; WFDB's own tools take 200 units a millivolt then.
        recording = read(path, format="auto", options=ReadOptions(units="adc:200"))
    return check(recording, detected(recording))


@pytest.mark.parametrize("record", ["mitdb/100", "mitdb/207", "svdb/800", "nstdb/118e00"])
def test_a_genuine_record_has_no_findings(record: str, real_data: Path) -> None:
    assert findings_of(real_data / f"{record}.hea") == []


def test_the_label_past_the_end_of_860_is_found(real_data: Path) -> None:
    (found,) = findings_of(real_data / "svdb" / "860.hea")
    assert (found.code, found.severity, found.value) == ("labels-outside", Severity.WARNING, 1.0)


def test_a_loose_electrode_is_found(real_data: Path) -> None:
    findings = findings_of(real_data / "edf" / "vital_sqi_example.edf")
    assert {"clipping", "implausible-swings", "beatless-stretch"} <= {finding.code for finding in findings}
    assert Severity.ERROR not in {finding.severity for finding in findings}


def test_the_labels_of_another_record_are_refused(real_data: Path) -> None:
    options = ReadOptions(labels=str(real_data / "mitdb" / "119.atr"))
    recording = read(real_data / "mitdb" / "100.hea", format="auto", options=options)
    (found,) = check(recording, detected(recording))
    assert (found.code, found.severity) == ("labels-off-peak", Severity.ERROR)


@pytest.mark.slow
def test_no_record_has_an_error_and_every_warning_is_known(real_data: Path) -> None:
    headers = [
        header
        for folder, pattern in (("mitdb", "*.hea"), ("svdb", "*.hea"), ("nstdb", "118e*.hea"))
        for header in sorted((real_data / folder).glob(pattern))
    ]
    found = {(header.stem, finding.code, finding.severity) for header in headers for finding in findings_of(header)}
    assert {(record, code) for record, code, _ in found} == KNOWN
    assert {severity for _, _, severity in found} == {Severity.WARNING}
