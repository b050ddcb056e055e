"""Names of leads: which channels are ECG, and which of them the reader wants."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from ecgfl_adapters.errors import LeadMissing

_ECG = re.compile(r"(?<![a-z])(ecg|ekg|elektrokardiogramm)(?![a-z])")
_DERIVED = re.compile(r"(?<![a-z])(hr|rate|quality|imp|impedance|rr|freq|lead.?off|status)(?![a-z])")
_LEAD = re.compile(
    r"""
    (?:lead\s*|ableitung\s*|mod\.?\s*)?
    (?: d?(?:iii|ii|i) | d[1-3]          # limb leads: I, DI, D1
      | -?av[rlf]                        # Goldberger
      | m?v[1-9]r? | m?v[3-9]r           # precordial, right and modified
      | m(?:l|cl)(?:iii|ii|i|[1-6])      # monitor leads: MLII, MCL1
      | c[cms][1-6]2?                    # bipolar chest: CM5, CC5, CS12
    )
    """,
    re.VERBOSE,
)
_OTHER = re.compile(
    r"(?<![a-z])(eeg|emg|eog|resp|respiration|abp|art|bp|nbp|pap|cvp|icp|pleth|ppg|spo2|sao2|hr|heart.?rate|temp|temperature"
    r"|acc|accel|gyro|flow|airflow|thorax|abdomen|snore|position|pos|label|labels|annotation|annotations|marker|event|events"
    r"|trigger|battery|status)(?![a-z])"
)


def is_ecg(label: str, patterns: Sequence[str] = ()) -> bool:
    """Whether a channel label is that of an ECG lead ("ECG", "MLII", "Lead II", "V5", "ECG LA-RA", ...).

    patterns : shell patterns of further names, `ReadOptions.ecg_channels`.
    """
    if any(fnmatchcase(label.lower(), pattern.lower()) for pattern in patterns):
        return True
    text = " ".join(label.lower().split())
    return bool(_LEAD.fullmatch(text)) or (bool(_ECG.search(text)) and not _DERIVED.search(text))


def is_other(label: str, patterns: Sequence[str] = ()) -> bool:
    """Whether a label is clearly that of something else (respiration, pressure, a heart rate, a marker column ...)."""
    return bool(_OTHER.search(label.lower().replace("_", " "))) and not is_ecg(label, patterns)


def unique_names(labels: Sequence[str]) -> list[str]:
    """`labels` with "#2", "#3" ... appended to the second and later ones of a kind; an empty label becomes "unnamed"."""
    seen: Counter[str] = Counter()
    names = []
    for label in labels:
        base = label.strip() or "unnamed"
        seen[base] += 1
        names.append(base if seen[base] == 1 else f"{base}#{seen[base]}")
    return names


def choose_leads(path: Path, names: Sequence[str], wanted: Sequence[str], keep: Callable[[int], bool]) -> list[int]:
    """Indices into `names` of the leads to read.

    `wanted` names are matched exactly, then without regard to case; without any, every index for which `keep` holds.
    Raises `LeadMissing`, listing what there is.
    """
    there = ", ".join(repr(name) for name in names)
    if not wanted:
        chosen = [index for index in range(len(names)) if keep(index)]
        if not chosen:
            raise LeadMissing(path, f"no channel is known as an ECG lead (channels: {there})", "Name the ECG with --lead NAME")
        return chosen
    folded = [name.lower() for name in names]
    chosen = []
    for name in wanted:
        if name in names:
            index = list(names).index(name)
        elif name.lower() in folded:
            index = folded.index(name.lower())
        else:
            raise LeadMissing(path, f"lead {name!r} is not in the file (channels: {there})", "Give one of these with --lead NAME")
        if index not in chosen:
            chosen.append(index)
    return chosen
