"""Reads the header of OpenSignals text files (PLUX, BITalino).

It is a JSON object in a comment line, with an entry for each device.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecgfl_adapters.errors import FileUnreadable, RateUnknown

MARK = "# OpenSignals Text File Format"
_NO_SIGNAL = {"i", "o", "di", "do"}
"""Digital inputs and outputs, with or without a number."""


class OpenSignals(NamedTuple):
    """A header of OpenSignals.

    Parameters
    ----------
    line : int
        Number of its line, from 1.
    names : tuple of str
        Names of the columns.
    sensors : tuple of str
        Sensor of each column; "" for a column without one.
    fs : float
        Sampling rate in hertz.
    bits : int, optional
        Resolution of the converter.
    identifiers : dict of str to str
        What identifies the device.
    """

    line: int
    names: tuple[str, ...]
    sensors: tuple[str, ...]
    fs: float
    bits: int | None
    identifiers: dict[str, str]


def opensignals_of(path: Path, lines: Sequence[str]) -> OpenSignals | None:
    """Return the header of OpenSignals, or None for the file of another program.

    Raises `FileUnreadable` and `RateUnknown` for a damaged header.
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
            bits += [int(value) for value in device.get("resolution", [])][-len(measured) :]
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
    """Return whether a column counts the rows."""
    return name.lower() == "nseq"


def is_digital(name: str) -> bool:
    """Return whether a column is a digital input or output, with or without a number."""
    return name.lower().rstrip("0123456789") in _NO_SIGNAL


def units_fix(bits: int | None) -> str:
    """Return how to state the unit of ADC counts.

    The ECG sensors of PLUX and BITalino map their range to the range of the converter.
    """
    counts = 2 ** (bits or 16)
    return (
        "Counts of the converter are no millivolts: take the sensor's gain from its data sheet. "
        f"For {bits or 16} bits and the usual ECG sensor (gain 1000 over 3 V) it is --units "
        f"adc:{counts / 3:.6g}:{counts // 2}"
    )


class Counter:
    """Checks a column that counts the rows and restarts, such as nSeq, for lost rows.

    The column is taken chunk by chunk. The number of lost rows cannot be known.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._last: float | None = None
        self._modulus: float | None = None

    def add(self, values: NDArray[np.float64], line: int) -> None:
        """Take the next values, shape (n,), the first of which is in line `line`.

        A column of zeros counts nothing. Raises `FileUnreadable` if rows are missing.
        """
        joined = values if self._last is None else np.concatenate(([self._last], values))
        before = 1 if self._last is not None else 0
        for at in np.flatnonzero(np.diff(joined) != 1).tolist():
            high, low = float(joined[at]), float(joined[at + 1])
            if high == low == 0:
                continue
            modulus = high - low + 1
            if (
                low >= high
                or modulus != (self._modulus or modulus)
                or int(modulus) & (int(modulus) - 1)
            ):
                raise FileUnreadable(
                    self._path,
                    f"rows are missing near line {line + at + 1 - before}: the counter goes from "
                    f"{high:g} to {low:g}",
                    "Export the stretches before and after as two files, or describe such files in "
                    "site.toml under [[csv]] "
                    "with time = 0 and their leads, if the counter is wrong",
                )
            self._modulus = modulus
        self._last = float(joined[-1])
