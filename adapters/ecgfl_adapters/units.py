"""Unit texts -> millivolts."""

import re
from pathlib import Path
from typing import NamedTuple

from ecgfl_adapters.errors import UnitUnknown

ACCEPTED = "mV, uV, V, nV or adc:GAIN[:BASELINE] (GAIN in ADC units per millivolt)"

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
    """Millivolts are `(value - baseline) * factor`. `baseline` is None where the unit says nothing about it."""

    factor: float
    baseline: float | None = None


def factor_to_mv(unit: str) -> float | None:
    """Millivolts in one `unit` ("mV", "uV", "µV", "Volts", ...); None when it is no unit of voltage."""
    text = re.sub(r"\s", "", unit).lower().translate(_MICRO)
    return _MILLIVOLTS_PER.get(_SPELLINGS.get(text, text))


def parse_units(path: Path, units: str) -> Scale:
    """What the person at the command line gave as `--units`. Raises `UnitUnknown` when it makes no sense."""
    factor = factor_to_mv(units)
    if factor is not None:
        return Scale(factor)
    match = re.fullmatch(r"adc:([0-9.eE+-]+)(?::([0-9.eE+-]+))?", units.strip())
    try:
        if match is None:
            raise ValueError(units)
        gain = float(match[1])
        baseline = None if match[2] is None else float(match[2])
        if not 0 < gain < float("inf"):
            raise ValueError(gain)
    except ValueError as error:
        raise UnitUnknown(path, f"--units {units!r} is no unit", f"Give one of {ACCEPTED}, for example --units mV") from error
    return Scale(1.0 / gain, baseline)


def is_adc(units: str | None) -> bool:
    """Whether `units` describes raw ADC counts."""
    return units is not None and units.strip().startswith("adc:")
