"""The header of OpenSignals text files (PLUX, BITalino): a JSON object in a comment line, with an
entry for each device.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ecgfl_adapters.errors import FileUnreadable, RateUnknown

MARK = "# OpenSignals Text File Format"
_NO_SIGNAL = {"i", "o", "di", "do"}
"""Digital inputs and outputs, with or without a number."""


class OpenSignals(NamedTuple):
    """names : of each column; sensors : of each column, "" where it is no sensor's. fs : hertz.
    bits : of the converter.
    """

    line: int
    names: tuple[str, ...]
    sensors: tuple[str, ...]
    fs: float
    bits: int | None
    identifiers: dict[str, str]


def opensignals_of(path: Path, lines: Sequence[str]) -> OpenSignals | None:
    """None for another program's file.

    Raises `FileUnreadable` and `RateUnknown` for a broken header.
    """
    if not lines or not lines[0].startswith(MARK):
        return None
    number, text = next(
        ((at, line) for at, line in enumerate(lines[:10]) if line.lstrip("# ").startswith("{")),
        (1, ""),
    )
    try:
        devices = json.loads(text.lstrip("# "))
        names: list[str] = []
        sensors: list[str] = []
        rates = set()
        bits = []
        for device in devices.values():
            columns = [_text(name) for name in device["column"]]
            measured = [_text(sensor) for sensor in device["sensor"]]
            names += columns
            sensors += [""] * (len(columns) - len(measured)) + measured
            rates.add(float(device["sampling rate"]))
            bits += [int(each) for each in device.get("resolution", [])][-len(measured) :]
        identifiers = {"device": text.lstrip("# ")}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise FileUnreadable(
            path, f"line {number + 1}: the OpenSignals header cannot be understood "
                  f"({type(error).__name__}: {error})"[:300],
            "Export the recording again from OpenSignals",
        ) from error  # fmt: skip
    if len(rates) != 1 or not all(0 < fs <= 100_000 for fs in rates):
        raise RateUnknown(
            path,
            f"line {number + 1}: the devices state the sampling rates {sorted(rates)}",
            "Export one device's recording",
        )
    return OpenSignals(
        number + 1, tuple(names), tuple(sensors), rates.pop(), max(bits, default=None), identifiers
    )


def _text(value: object) -> str:
    """Return a name with unpaired surrogates replaced: JSON can contain them, UTF-8 cannot."""
    return str(value).encode("utf-8", "replace").decode("utf-8")


def is_counter(name: str) -> bool:
    return name.lower() == "nseq"


def is_digital(name: str) -> bool:
    return name.lower().rstrip("0123456789") in _NO_SIGNAL


def units_fix(bits: int | None) -> str:
    """How to say what a count means: PLUX's and BITalino's ECG sensors map their range onto that of
    the converter.
    """
    counts = 2 ** (bits or 16)
    return (
        "Counts of the converter are no millivolts: take the sensor's gain from its data sheet. "
        f"For {bits or 16} bits and the usual ECG sensor (gain 1000 over 3 V) it is --units "
        f"adc:{counts / 3:.6g}:{counts // 2}"
    )
