"""The limits of the checks, each with its source.

"Measured" means measured in every lead of 48 mitdb, 40 svdb and 3 nstdb 118e records. The beats are
those that the program's own detector finds in the rhythm lead; for the heart rate, the amplitude of
the QRS and the refusal of foreign labels, they are those that sleepecg finds in the first lead.
Three numbers are the minimum, median and maximum over the worst lead of each recording. No limit
was tuned on the results of a classifier. These 91 genuine recordings must have no error and no
false warning.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from ecgfl_cli.schemas import Fault, faults
from ecgfl_cli.site.toml_errors import settings_error


@dataclass(frozen=True)
class Limits:
    """Limits of a usable recording.

    Shares are of the recording's time, from 0 to 1. Pairs are the lowest and highest allowed value.
    """

    # Ten seconds is the length of a standard 12-lead printout (Kligfield 2007, AHA/ACC/HRS), the
    # shortest ECG in routine use.
    min_seconds: float = 10.0

    # A record's own typical beat and its RR context need neighbours; 10 s at 30 beats a minute give
    # five.
    min_beats: int = 5

    # AHA asks for 500 Hz in diagnostic ECG and HRV work accepts 100 Hz with interpolation (Task
    # Force 1996). Below 100 Hz a narrow QRS of 80 ms has fewer than 8 samples and the width that
    # tells a PVC apart is lost. svdb works at 128 Hz.
    min_fs: float = 100.0

    # Peak to peak of the QRS. Normal QRS is 0.3..3 mV; low voltage begins under 0.5 mV. Measured
    # median of a lead: 0.14 (mitdb 101, V1) to 4.5 mV (svdb 861). IEC 60601-2-47 asks ambulatory
    # recorders to hold 10 mV peak to valley.
    qrs_warn_mv: tuple[float, float] = (0.1, 10.0)
    # A wrong unit is a factor of 1000 (V, uV) or of a gain (ADC counts, commonly 200 a mV), so the
    # error needs no fine edge.
    qrs_error_mv: tuple[float, float] = (0.02, 20.0)
    # Median over evenly spread beats: 500 bring its error well under the limits' slack and bound
    # the work on a day.
    qrs_sample: int = 500
    qrs_half_window_s: float = 0.1

    # Median heart rate. Measured: 50..135 a minute. 250 is about the fastest supraventricular
    # tachycardia an adult conducts.
    rate_warn_bpm: tuple[float, float] = (30.0, 200.0)
    rate_error_bpm: tuple[float, float] = (20.0, 250.0)

    # Signal without any detected beat. Longest in mitdb: 9.6 s (116, electrode off), 5.9 s of true
    # pause (232); svdb 853 loses its lead for 10.04 s.
    beatless_s: float = 10.0

    # Every second beat is blunter than its neighbours and close to one of them: a T or P wave was
    # detected because it is as sharp as a QRS complex. Measured over whole records: 13 to 64 % of
    # the beats in the leads where this happens, mitdb 101 V1 and first leads of qtdb (T waves
    # unchanged or two to four times as tall, with and without the detector's T-wave rule); 0, 0, 8
    # % (nstdb 118e00) in all other leads of the 120 records, 5 % without added noise (mitdb 233
    # V1).
    doubled_s: float = 0.45
    doubled_sharpness: float = 0.9
    doubled_warn_share: float = 0.1
    # Share of beats that are found in only one of two leads. Measured: 0, 0, 37 % (mitdb 101: P
    # waves counted in V1); next are mitdb 208 (25 %, QRS complexes missed in V1), nstdb 118e00 (18
    # %) and mitdb 200 (16 %).
    disagreement_warn_share: float = 0.2
    # Both checks use ten minutes spread over the recording, which takes a third of the time of
    # checking half an hour.
    rhythm_block_s: float = 150.0
    rhythm_blocks: int = 4

    # Flat: no more than one quantisation step of movement in 2 s, which holds a QRS down to 30
    # beats a minute. Measured: none.
    flat_block_s: float = 2.0
    flat_warn_share: float = 0.1

    # Time without signal (NaN). The 91 records have none; 5 % of an hour is three minutes, such as
    # changing electrodes.
    absent_warn_share: float = 0.05
    gap_warn_share: float = 0.1

    # Stuck at the lead's own extreme: measured on leads without clipping, at most 3 samples in a
    # row (8 ms) reach the extreme. Measured share: 0, 0, 0.03 % (mitdb 103 V2).
    clip_run_s: float = 0.01
    clip_min_samples: int = 4
    clip_warn_share: float = 0.001

    # A wide QRS cut off at its peak stays at the extreme for less than its own 0.1 s; longer is the
    # amplifier at its rail. Measured share: 0, 0, 0.14 % (mitdb 116); 2 s each in 116 and 223 V1
    # (0.10 %), 1.2 s in svdb 859 (0.07 %).
    rail_run_s: float = 0.1
    rail_warn_share: float = 0.0008

    # A lead that gives nothing (absent alone, flat, at a rail) for as long as a standard printout
    # lasts. Measured: none in any record (116's electrode is off for 9.6 s, partly with a signal of
    # its own).
    lead_off_s: float = 10.0
    lead_off_warn_share: float = 0.05

    # A swing within 2 s that is larger than any ECG: a loose electrode. It is twice the range that
    # IEC 60601-2-47 requires of a recorder.
    swing_mv: float = 20.0
    swing_warn_share: float = 0.01

    # A lead that is absent, flat, saturated or swinging for more than half of the time is unusable.
    lead_lost_share: float = 0.5

    # Baseline wander: peak to peak in 10 s below 0.67 Hz, the highest cut-off that the AHA allows
    # for a high-pass filter (Kligfield 2007); the value that is exceeded in a tenth of the time.
    # Measured: 0.08, 0.60, 5.8 mV (nstdb 118e00). Above both limits are nstdb 118e00 and 118e06,
    # svdb 843, mitdb 103 V2 and 108 V1, each with a visibly loose electrode, and nstdb's bw itself
    # (2.0 mV). The drift of a good electrode rarely reaches 1.5 mV, and the detector works until
    # the baseline moves as far as the QRS.
    wander_hz: float = 0.67
    wander_block_s: float = 10.0
    wander_share: float = 0.1
    wander_warn_mv: float = 1.5
    wander_warn_qrs: float = 1.0

    # Mains hum: amplitude of the line at 50 or 60 Hz. IEC 60601-2-47 allows a recorder noise of
    # 0.05 mV peak to valley, an amplitude of 0.025 mV. Measured: 0, 0, 0.019 mV (mitdb 122 V1).
    # 400 blocks of 4 s limit the work for a recording of a day.
    hum_warn_mv: float = 0.025
    hum_blocks: int = 400

    # Spikes: a spike is one sample at 128 Hz and up to three at 360 Hz. The samples beside it move
    # little, unlike those beside a QRS peak. Measured outside noise: 0, 0, 0.34 a minute (svdb 804
    # ECG2). A pacing stimulus precedes its QRS by up to 0.3 s (atrial pacing, AV delay).
    spike_width_s: float = 0.008
    spike_qrs: float = 0.5
    spike_mv: float = 0.05
    spike_beside: float = 0.25
    pacing_s: tuple[float, float] = (0.02, 0.3)
    spike_warn_per_minute: float = 3.0

    # Noise that hides beats: see `quality.noise`. In shares of the QRS, 118 measures 0.05; a tenth
    # of the time it exceeds 0.17 with nstdb's electrode noise at 6 dB and 0.28 at 0 dB. Measured
    # share of the time: 0, 0, 42 % (nstdb 118e00); over 5 % are nstdb 118e00 and 118e06 (25 %),
    # svdb 804 and 893 (12 and 16 %) and mitdb 203 V1 (7 %), all with visible muscle or electrode
    # noise.
    noise_block_s: float = 4.0
    noise_qrs: float = 0.13
    noise_qrs_anyway: float = 0.22
    noise_rise: float = 4.0
    noise_warn_share: float = 0.05

    # Polarity of the median QRS, from -1 (down) to 1 (up). Measured in MLII, V4 and V5: -0.9 in 207
    # (its QRS does point down), -0.6 in 217 (paced), -0.3 in V4 of 124, 0 to 1 in all others;
    # median 0.87. At -0.5, the downward wave is three times as large as the upward one.
    polarity_clear: float = 0.5

    # ANSI/AAMI EC57 pairs a label and a detection within 150 ms.
    match_s: float = 0.15
    # Labels without a detected beat. Measured: 0..1 %, and with noise added 2 and 7 % (nstdb
    # 118e06, 118e00).
    off_peak_warn_share: float = 0.1
    off_peak_error_share: float = 0.5
    # At 135 beats a minute, two in three labels of another recording match by chance. Therefore the
    # limit for an error is at most this part of the share that random labels would miss. Measured:
    # it refuses 528 of 528 label sets of another record of the same database, and 91 of 91 whose
    # sample numbers are at 250 Hz.
    off_peak_chance_share: float = 0.7

    # Share of detected beats without a label. Measured: 0, 0, 24 % (nstdb 118e00, detections in
    # noise). In bigeminy with only the PVCs labelled it is 50 %.
    unlabelled_warn_share: float = 0.4

    # A constant shift of labels. Correct labels are on some wave of the QRS. Measured: medians from
    # -62 ms (svdb 857: labels on R, detections on the deeper S) to 39 ms; interquartile range 0 to
    # 31 ms for beats that are not paced. Of the 91 records, a shift is found in 88 with labels
    # 110 ms early, in 77 with 110 ms late, in 71 with 55 ms early and in 37 with 55 ms late. In the
    # others, the QRS or its S wave reaches as far.
    shift_warn_s: float = 0.05
    # With a shift of more than 0.08 s, `beats.detection.align` cannot reach the R peak, and every
    # beat in training would be off centre.
    shift_error_s: float = 0.08
    shift_spread_s: float = 0.03
    # Movement in 40 ms around the labels, relative to that around the detections. Measured: minimum
    # 0.73 (svdb 804), median 1.
    shift_deflection: float = 0.5

    # Paced beats among the labels. Measured: 62 to 97 % in mitdb 102, 104, 107 and 217, none in the
    # others.
    paced_warn_share: float = 0.01

    # V among the labelled beats. Measured: at most 34 % (mitdb 208); bigeminy throughout would be
    # 50 %.
    pvc_warn_share: float = 0.6

    # Implausibly many beats: ventricular flutter has at most about 300 a minute, and an interval
    # below 0.12 s is shorter than the QRS of a PVC. Shortest measured: 0.133 s (svdb 865).
    label_rate_bpm: float = 350.0
    label_min_interval_s: float = 0.12
    label_short_warn_share: float = 0.01

    __pydantic_config__: ClassVar[dict[str, object]] = {"extra": "forbid", "allow_inf_nan": False}


def limits_of(settings: Path, given: dict[str, Any]) -> Limits:
    """Return the limits, with those that a site sets itself.

    Parameters
    ----------
    settings : Path
        The settings file, for messages.
    given : dict of str to object
        Name of a limit -> value, from the table `limits` of the settings file.

    Raises
    ------
    UsageError
        Some names or values are wrong. The message names all of them.
    """
    pairs = {
        name: tuple(value) if isinstance(value, list) else value for name, value in given.items()
    }
    try:
        limits = TypeAdapter(Limits).validate_python(pairs)
        wrong = [
            Fault(("limits", name), value, "less than 0")
            for name, value in given.items()
            if min(value if isinstance(value, list) else [value]) < 0
        ]
    except ValidationError as error:
        raise settings_error(settings, _LimitsTable, faults(error, ["limits"])) from error
    if wrong:
        raise settings_error(settings, _LimitsTable, wrong)
    return limits


class _LimitsTable(BaseModel):
    """The part of a settings file that has the limits."""

    limits: Limits
