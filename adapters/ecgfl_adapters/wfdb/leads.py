"""Reads the leads of one WFDB header, in millivolts."""

from dataclasses import dataclass
from typing import NamedTuple

from ecgfl_adapters.errors import UnitUnknown
from ecgfl_adapters.leads import Channel, Choice, choose_leads, unique_names
from ecgfl_adapters.missing_codes import missing_remark
from ecgfl_adapters.protocol import ReadOptions
from ecgfl_adapters.recording import Lead, Remark
from ecgfl_adapters.timeline import check_rate
from ecgfl_adapters.units import ACCEPTED, Scale, check_step, factor_to_mv, is_adc, parse_units
from ecgfl_adapters.wfdb.header import SignalSpec, WfdbHeader
from ecgfl_adapters.wfdb.signals import read_samples, to_float


class Leads(NamedTuple):
    """Leads, their common rate in hertz, and remarks on faults that were tolerated."""

    fs: float
    leads: tuple[Lead, ...]
    remarks: tuple[Remark, ...] = ()


def read_leads(header: WfdbHeader, fs: float, options: ReadOptions) -> Leads:
    """Return the signals that `options` requests, or those that `choose_leads` takes for the ECG.

    `fs` is the frame rate of the header; signals with several samples per frame have a multiple of
    it. Raises `AdapterError`.
    """
    names = unique_names([signal.name for signal in header.signals])
    signals = header.signals
    chosen, left_out = choose_signals(header, fs, options)
    rate = fs * signals[chosen[0]].per_frame
    check_rate(header.path, rate)
    scales = {index: _scale(header, signals[index], options) for index in chosen}
    samples, remarks = read_samples(header, chosen, fs, force=options.force)
    leads = []
    absent = []
    for index in chosen:
        scale = scales[index]
        baseline = signals[index].baseline if scale.baseline is None else scale.baseline
        values, codes = to_float(signals[index], samples.pop(0), baseline, scale.factor)
        leads.append(Lead(names[index], values, abs(scale.factor)))
        absent += [missing_remark(f"signal {index + 1}", code) for code in codes]
    return Leads(rate, tuple(leads), (*remarks, *left_out, *absent))


def choose_signals(header: WfdbHeader, fs: float, options: ReadOptions) -> Choice:
    """Return the signals that `options` requests, or those that may be an ECG.

    `fs` is the frame rate in hertz. Raises `LeadMissing`.
    """
    names = unique_names([signal.name for signal in header.signals])
    channels = [
        Channel(name, signal.units, fs * signal.per_frame)
        for name, signal in zip(names, header.signals, strict=True)
    ]
    return choose_leads(header.path, channels, options)


@dataclass(frozen=True)
class WfdbOptions:
    """Options of the WFDB format in `ReadOptions.format_options`.

    Parameters
    ----------
    assume_gain : bool
        Read an uncalibrated signal (gain 0) with `WFDB_DEFAULT_GAIN` instead of refusing it; for
        uses in which the scale cancels out.
    """

    assume_gain: bool = False


WFDB_DEFAULT_GAIN = 200
"""ADC units per millivolt that WFDB's header(5) lets a reader assume for an uncalibrated signal."""


def _scale(header: WfdbHeader, signal: SignalSpec, options: ReadOptions) -> Scale:
    """Return millivolts per ADC unit.

    In WFDB a gain that is 0 or missing means that the signal is not calibrated.
    """
    given = None if options.units is None else parse_units(header.path, options.units)
    if signal.gain == 0:
        if given is None and options.for_format(WfdbOptions).assume_gain:
            return Scale(1 / WFDB_DEFAULT_GAIN)
        if given is None or not is_adc(options.units):
            raise UnitUnknown(
                header.path,
                f"signal {signal.name!r} has the gain 0 (uncalibrated), so its ADC units are not "
                "known in millivolts",
                "Give --units adc:GAIN with GAIN in ADC units per millivolt, for example --units "
                "adc:200",
            )
        return given
    factor = factor_to_mv(signal.units or "mV")
    if given is not None and not is_adc(options.units):
        factor = given.factor
    if factor is None:
        raise UnitUnknown(
            header.path,
            f"signal {signal.name!r} is in {signal.units!r}",
            f"Give --units: {ACCEPTED}",
        )
    check_step(header.path, f"signal {signal.name!r}", factor / signal.gain)
    return Scale(factor / signal.gain)
