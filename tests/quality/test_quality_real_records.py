"""Genuine recordings: no false alarm, and the defects they really have."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ecgfl_adapters.discovery import read
from ecgfl_adapters.errors import UnitUnknown
from ecgfl_adapters.protocol import ReadOptions
from ecgfl_adapters.recording import Recording

from ecgfl_cli.quality.checks import check
from ecgfl_cli.quality.findings import Finding, Severity
from ecgfl_cli.quality.rhythm import rhythm_beats

# What check() says about the 91 records of mitdb, svdb and nstdb, all of it looked at and true:
# 102, 104, 107 and 217 are paced; 116 and 223 sit at the amplifier's rail for 2 s; the electrodes
# of 103, 108 and 843 move, those of 118e00 and 118e06 were made to; 203, 804 and 893 have muscle
# noise; the QRS of 207 points down in MLII; 853 loses its lead, 860 is labelled past its end; in V1
# of 101 P waves are counted, in V1 of 208 PVCs and normal beats are missed.
KNOWN = {
    ("101", "leads-disagree"),
    ("102", "paced-rhythm"),
    ("103", "baseline-wander"),
    ("104", "paced-rhythm"),
    ("107", "paced-rhythm"),
    ("108", "baseline-wander"),
    ("116", "saturation"),
    ("118e00", "baseline-wander"),
    ("118e00", "noise"),
    ("118e06", "baseline-wander"),
    ("118e06", "noise"),
    ("203", "noise"),
    ("207", "inverted-lead"),
    ("208", "leads-disagree"),
    ("217", "paced-rhythm"),
    ("223", "saturation"),
    ("804", "noise"),
    ("843", "baseline-wander"),
    ("853", "beatless-stretch"),
    ("860", "labels-outside"),
    ("893", "noise"),
}


def recording_of(path: Path) -> Recording:
    try:
        return read(path, format="auto", options=ReadOptions())
    except UnitUnknown:
        # Half of svdb's headers leave the gain at 0; WFDB's own tools take 200 units a millivolt
        # then.
        return read(path, format="auto", options=ReadOptions(units="adc:200"))


def findings_of(path: Path) -> list[Finding]:
    recording = recording_of(path)
    return check(recording, rhythm_beats(recording, None))


@pytest.mark.parametrize(
    "record", ["mitdb/100", "mitdb/114", "mitdb/119", "svdb/800", "nstdb/118e24"]
)
def test_a_genuine_record_has_no_findings(record: str, real_data: Path) -> None:
    assert findings_of(real_data / f"{record}.hea") == []


def test_the_label_past_the_end_of_860_is_found(real_data: Path) -> None:
    (found,) = findings_of(real_data / "svdb" / "860.hea")
    assert (found.code, found.severity, found.value) == ("labels-outside", Severity.WARNING, 1.0)


def test_a_loose_electrode_is_found(real_data: Path) -> None:
    findings = findings_of(real_data / "edf" / "vital_sqi_example.edf")
    assert {"clipping", "implausible-swings"} <= {finding.code for finding in findings}
    assert Severity.ERROR not in {finding.severity for finding in findings}


def test_the_labels_of_another_record_are_refused(real_data: Path) -> None:
    options = ReadOptions(labels=str(real_data / "mitdb" / "119.atr"))
    recording = read(real_data / "mitdb" / "100.hea", format="auto", options=options)
    (found,) = check(recording, rhythm_beats(recording, None))
    assert (found.code, found.severity) == ("labels-off-peak", Severity.ERROR)


def test_a_heart_rate_that_counts_p_waves_looks_doubled(real_data: Path) -> None:
    recording = recording_of(real_data / "mitdb" / "101.hea")
    findings = {
        each.code: each for each in check(recording, rhythm_beats(recording, "V1"), lead_name="V1")
    }
    assert {findings[code].severity for code in ("rate-doubled", "leads-disagree")} == {
        Severity.WARNING
    }
    assert findings["rate-doubled"].lead == "V1"
    assert "--lead NAME" in findings["leads-disagree"].fix


@pytest.mark.parametrize("record", ["106", "119", "223", "233"])
def test_bigeminy_does_not_look_like_a_doubled_rate(record: str, real_data: Path) -> None:
    recording = recording_of(real_data / "mitdb" / f"{record}.hea")
    for lead in ("MLII", "V1"):
        codes = {
            each.code for each in check(recording, rhythm_beats(recording, lead), lead_name=lead)
        }
        assert not codes & {"rate-doubled", "leads-disagree"}


@pytest.mark.slow
def test_no_record_has_an_error_and_every_warning_is_known(real_data: Path) -> None:
    headers = [
        header
        for folder, pattern in (("mitdb", "*.hea"), ("svdb", "*.hea"), ("nstdb", "118e*.hea"))
        for header in sorted((real_data / folder).glob(pattern))
    ]
    found = {
        (header.stem, finding.code, finding.severity)
        for header in headers
        for finding in findings_of(header)
    }
    assert {(record, code) for record, code, _ in found} == KNOWN
    assert {
        (record, code) for record, code, severity in found if severity is not Severity.WARNING
    } == {("207", "inverted-lead")}


def test_the_wander_of_nstdb_is_found_in_its_own_record(real_data: Path) -> None:
    (found,) = [
        each
        for each in findings_of(real_data / "nstdb" / "bw.hea")
        if each.code == "baseline-wander"
    ]
    assert found.lead == "noise1"


@pytest.mark.parametrize(("decibels", "is_found"), [(0, True), (12, False)])
def test_muscle_noise_that_hides_beats_is_found(
    decibels: int, is_found: bool, real_data: Path
) -> None:
    clean = recording_of(real_data / "mitdb" / "103.hea")
    muscle = recording_of(real_data / "nstdb" / "ma.hea").leads[0].samples[: clean.length]
    lead = clean.leads[0]
    # As nstdb's own script mixes: two minutes in four, the power of a QRS of 2.4 mV peak to peak
    # (an eighth of its square) over that of the noise.
    gain = np.sqrt(2.4**2 / 8 / np.var(muscle) / 10 ** (decibels / 10))
    gain = gain * (np.arange(clean.length) / clean.fs % 240 > 120)
    mixed = replace(
        clean,
        leads=(
            replace(lead, samples=(lead.samples + gain * muscle).astype(np.float32)),
            clean.leads[1],
        ),
    )
    codes = {(each.code, each.lead) for each in check(mixed, rhythm_beats(clean, None))}
    assert (("noise", "MLII") in codes) == is_found


@pytest.mark.parametrize(
    ("shift_s", "fix"), [(-0.11, "Add 40 samples"), (0.11, "Subtract 40 samples")]
)
def test_labels_of_a_real_record_that_all_stand_off_are_an_error(
    shift_s: float, fix: str, real_data: Path
) -> None:
    recording = recording_of(real_data / "mitdb" / "103.hea")
    shift = round(shift_s * recording.fs)
    moved = replace(
        recording,
        labels=tuple(
            label._replace(sample=label.sample + shift) for label in recording.labels or ()
        ),
    )
    findings = [
        each
        for each in check(moved, rhythm_beats(recording, None))
        if each.code.startswith("labels-")
    ]
    (found,) = [each for each in findings if each.code != "labels-outside"]
    assert (found.code, found.severity) == ("labels-shifted", Severity.ERROR)
    assert found.value == pytest.approx(shift_s * 1000, abs=3)
    assert fix in found.fix
