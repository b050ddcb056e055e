"""Every number a finding is held against, with where it comes from.

"Measured" means: on 48 mitdb, 40 svdb and 3 nstdb 118e records with sleepecg's detector on the first lead. Nothing was tuned on
the outcome of a classifier; the limits only have to leave these 91 genuine recordings without an error.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from pydantic import TypeAdapter, ValidationError

from ecgfl_cli.errors import UsageError


@dataclass(frozen=True)
class Limits:
    """Bounds of a usable recording. Shares are of the recording's time, 0 to 1; pairs are (lowest, highest) allowed."""

    # Ten seconds is the length of a standard 12-lead printout (Kligfield 2007, AHA/ACC/HRS), the shortest ECG in routine use.
    min_seconds: float = 10.0

    # A record's own typical beat and its RR context need neighbours; 10 s at 30 beats a minute give five.
    min_beats: int = 5

    # AHA asks for 500 Hz in diagnostic ECG and HRV work accepts 100 Hz with interpolation (Task Force 1996). Below 100 Hz a
    # narrow QRS of 80 ms has fewer than 8 samples and the width that tells a PVC apart is lost. svdb works at 128 Hz.
    min_fs: float = 100.0

    # Peak to peak of the QRS. Normal QRS is 0.3..3 mV; low voltage begins under 0.5 mV. Measured median of a lead: 0.14
    # (mitdb 101, V1) to 4.5 mV (svdb 861). IEC 60601-2-47 asks ambulatory recorders to hold 10 mV peak to valley.
    qrs_warn_mv: tuple[float, float] = (0.1, 10.0)
    # A wrong unit is a factor of 1000 (V, uV) or of a gain (ADC counts, commonly 200 a mV), so the error needs no fine edge.
    qrs_error_mv: tuple[float, float] = (0.02, 20.0)
    # Median over evenly spread beats: 500 bring its error well under the limits' slack and bound the work on a day.
    qrs_sample: int = 500
    qrs_half_window_s: float = 0.1

    # Median heart rate. Measured: 50..135 a minute. 250 is about the fastest supraventricular tachycardia an adult conducts.
    rate_warn_bpm: tuple[float, float] = (30.0, 200.0)
    rate_error_bpm: tuple[float, float] = (20.0, 250.0)

    # Signal without any detected beat. Longest in mitdb: 9.6 s (116, electrode off), 5.9 s of true pause (232).
    beatless_s: float = 10.0

    # Flat: no more than one quantisation step of movement in 2 s, which holds a QRS down to 30 beats a minute. Measured: none.
    flat_block_s: float = 2.0
    flat_warn_share: float = 0.1

    # Time without signal (NaN). The 91 records have none; 5 % of an hour is three minutes, such as changing electrodes.
    absent_warn_share: float = 0.05
    gap_warn_share: float = 0.1

    # Stuck at the lead's own extreme: measured on leads without clipping, at most 3 samples in a row (8 ms) reach the extreme.
    # Share: mitdb 116 has 0.14 %, 223 V1 0.11 % (both truly clipped), svdb 859 0.07 %, all others under 0.04 %.
    clip_run_s: float = 0.01
    clip_min_samples: int = 4
    clip_warn_share: float = 0.001

    # Swings no heart makes within 2 s: a loose electrode. Twice what IEC 60601-2-47 asks a recorder to hold.
    swing_mv: float = 20.0
    swing_warn_share: float = 0.01

    # A lead that is absent, flat, clipped or swinging for more than half of the time tells more about its cable than its heart.
    lead_lost_share: float = 0.5

    # ANSI/AAMI EC57 pairs a label and a detection within 150 ms.
    match_s: float = 0.15
    # Labels without a detected beat. Measured: 0..5 %, one at 11 % (mitdb 208: 323 of its 992 PVCs escape the detector).
    off_peak_warn_share: float = 0.1
    off_peak_error_share: float = 0.5
    # At 135 beats a minute even foreign labels match two times in three, so the error's limit also may not pass this share of
    # what labels strewn at random would miss. Measured: refuses 528 of 528 label sets of another record of the same database and
    # 91 of 91 whose samples count at 250 Hz.
    off_peak_chance_share: float = 0.7

    # More beats than a heart has: ventricular flutter ends near 300 a minute; intervals under 0.12 s are shorter than the QRS
    # of a PVC. Measured shortest: 0.133 s (svdb 865).
    label_rate_bpm: float = 350.0
    label_min_interval_s: float = 0.12
    label_short_warn_share: float = 0.01

    __pydantic_config__: ClassVar[dict[str, object]] = {"extra": "forbid", "allow_inf_nan": False}


def limits_of(settings: Path, given: dict[str, Any]) -> Limits:
    """The limits with those that a site set itself, by name. Raises `UsageError` naming the file, the bound and the value."""
    pairs = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    try:
        return TypeAdapter(Limits).validate_python(pairs)
    except ValidationError as error:
        first = error.errors()[0]
        bound = ".".join(str(part) for part in first["loc"])
        raise UsageError(
            f"{settings}: limits.{bound} = {first['input']!r}: {first['msg']}", "Correct or remove that line"
        ) from error
