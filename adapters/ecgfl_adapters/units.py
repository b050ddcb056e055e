"""Converts units of voltage to millivolts."""

import re
from pathlib import Path
from typing import NamedTuple

from ecgfl_adapters.errors import FileUnreadable, UnitUnknown

ACCEPTED = "mV, uV, V, nV or adc:GAIN[:BASELINE] (GAIN in ADC units per millivolt)"

STEPS = (1e-12, 1e9)
"""Smallest and largest number of millivolts in one digital unit; a 32-bit recorder has 1e-7."""

_MILLIVOLTS_PER = {"v": 1000.0, "mv": 1.0, "uv": 1e-3, "nv": 1e-6}
_SPELLINGS = {
    "volt": "v",
    "volts": "v",
    "millivolt": "mv",
    "millivolts": "mv",
    "microvolt": "uv",
    "microvolts": "uv",
    "microv": "uv",
    "mcv": "uv",
    "nanovolt": "nv",
    "nanovolts": "nv",
}
# MICRO SIGN, GREEK MU, and the micro sign of code page 437 as Latin-1 shows it.
_MICRO = str.maketrans({"\u00b5": "u", "\u03bc": "u", "\u00e6": "u"})


class Scale(NamedTuple):
    """The scale of a lead: millivolts are `(value - baseline) * factor`.

    `baseline` is None if the unit states none.
    """

    factor: float
    baseline: float | None = None


MAX_BASELINE = 2.0**40
"""Largest baseline in digital units; no converter has as many."""


def factor_to_mv(unit: str) -> float | None:
    """Return the millivolts in one `unit` ("mV", "uV", "µV", "Volts"); None for any other unit."""
    text = re.sub(r"\s", "", unit).lower().translate(_MICRO)
    return _MILLIVOLTS_PER.get(_SPELLINGS.get(text, text))


def check_step(path: Path, what: str, step: float) -> None:
    """Raise `FileUnreadable` for a scale at which the samples would all be 0 or overflow.

    Parameters
    ----------
    path : Path
        The file, for messages.
    what : str
        The channel, in words.
    step : float
        Millivolts in one digital unit.
    """
    if not STEPS[0] <= abs(step) <= STEPS[1]:
        raise FileUnreadable(
            path,
            f"{what} has the scale {abs(step):g} mV a digital unit, not between {STEPS[0]:g} and "
            f"{STEPS[1]:g}",
            "Leave it out by naming the other leads with --lead NAME, or export the file again",
        )


def parse_units(path: Path, units: str) -> Scale:
    """Parse the value of `--units`.

    Raises `UnitUnknown` if it is not valid.
    """
    factor = factor_to_mv(units)
    if factor is not None:
        return Scale(factor)
    match = re.fullmatch(r"adc:([0-9.eE+-]+)(?::([0-9.eE+-]+))?", units.strip())
    try:
        if match is None:
            raise ValueError(units)
        gain = float(match[1])
        baseline = None if match[2] is None else float(match[2])
        if not 1 / STEPS[1] <= gain <= 1 / STEPS[0] or not abs(baseline or 0.0) <= MAX_BASELINE:
            raise ValueError(units)
    except ValueError as error:
        raise UnitUnknown(
            path, f"--units {units!r} is no unit", f"Give one of {ACCEPTED}, for example --units mV"
        ) from error
    return Scale(1.0 / gain, baseline)


def is_adc(units: str | None) -> bool:
    """Return whether `units` describes raw ADC counts."""
    return units is not None and units.strip().startswith("adc:")
