"""Chooses the channels of a file that are read as leads, in the same way for every format."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ecgfl_adapters.channel_kinds import ChannelKind, is_other_unit, is_processed, kinds_of
from ecgfl_adapters.errors import LeadMissing
from ecgfl_adapters.protocol import ReadOptions
from ecgfl_adapters.recording import Remark
from ecgfl_adapters.units import factor_to_mv

SLOWEST_HZ = 50.0
"""Minimum sampling rate of an ECG in hertz: a QRS of 0.1 s has at least five samples."""


class Channel(NamedTuple):
    """What a file says about a channel.

    Parameters
    ----------
    name : str
        Unique among the file's channels.
    unit : str
        As stated; "" if none is.
    fs : float, optional
        Sampling rate in hertz; None if all channels share one rate.
    """

    name: str
    unit: str = ""
    fs: float | None = None


class Choice(NamedTuple):
    """The channels to read.

    Parameters
    ----------
    places : list of int
        Their indices, in their order; all have one rate.
    remarks : tuple of Remark
        Channels left out that may be an ECG.
    """

    places: list[int]
    remarks: tuple[Remark, ...] = ()


def unique_names(labels: Sequence[str]) -> list[str]:
    """Return unique names for labels: repeated ones get "#2", "#3", an empty one is "unnamed".

    Parameters
    ----------
    labels : sequence of str
        Labels of the channels of a file.
    """
    seen: Counter[str] = Counter()
    names = []
    for label in labels:
        base = label.strip() or "unnamed"
        seen[base] += 1
        names.append(base if seen[base] == 1 else f"{base}#{seen[base]}")
    return names


def choose_leads(
    path: Path, channels: Sequence[Channel], options: ReadOptions, *, accept_unknown: bool = True
) -> Choice:
    """Choose the leads among a file's channels.

    Leads that `options.leads` names are taken, matched exactly, then without regard to case.
    Otherwise channels named as an ECG and unambiguous lead names take precedence over names that
    merely could be a lead ("V1" beside "ECG" is a depth electrode), raw channels over their
    filtered copies, and the rate with the most leads over others.

    Parameters
    ----------
    path : Path
        The file, for messages.
    channels : sequence of Channel
        All channels of the file.
    options : ReadOptions
        `leads` and `ecg_channels` are used.
    accept_unknown : bool
        Whether channels whose names say nothing are leads, if no name says ECG and nothing speaks
        against it.

    Returns
    -------
    Choice
        The channels to read.

    Raises
    ------
    LeadMissing
        If no channel is known as an ECG, or a requested lead is missing or has another rate.
    """
    names = [channel.name for channel in channels]
    if options.leads:
        return Choice(named_leads(path, channels, options.leads))
    kinds = kinds_of(names, options.ecg_channels)
    candidates = _candidates(channels, kinds) or (
        _unknown(channels, kinds) if accept_unknown else []
    )
    if not candidates:
        raise LeadMissing(
            path,
            f"no channel is known as an ECG lead (channels: {_listed(names)})",
            "Name the ECG with --lead NAME",
        )
    raw = [place for place in candidates if not is_processed(names[place])] or candidates
    in_volts = [
        place
        for place in raw
        if not channels[place].unit or factor_to_mv(channels[place].unit) is not None
    ] or raw
    fs = _rate_of_most(channels, in_volts)
    chosen = [place for place in in_volts if channels[place].fs == fs]
    return Choice(chosen, _remarks(channels, kinds, raw, chosen))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names)


def named_leads(path: Path, channels: Sequence[Channel], requested: Sequence[str]) -> list[int]:
    """Return the indices of the channels with these names.

    Names are matched exactly, then without regard to case. Raises `LeadMissing`.
    """
    names = [channel.name for channel in channels]
    folded = [name.lower() for name in names]
    chosen = []
    for name in requested:
        if name in names:
            place = names.index(name)
        elif name.lower() in folded:
            place = folded.index(name.lower())
        else:
            raise LeadMissing(
                path,
                f"lead {name!r} is not in the file (channels: {_listed(names)})",
                "Give one of these with --lead NAME",
            )
        if place not in chosen:
            chosen.append(place)
    if len({channels[place].fs for place in chosen}) > 1:
        shown = ", ".join(f"{names[place]} {channels[place].fs:g} Hz" for place in chosen)
        raise LeadMissing(
            path,
            f"the leads asked for differ in rate: {shown}",
            "Ask for leads of one rate with --lead NAME",
        )
    return chosen


def _is_plausible(channel: Channel) -> bool:
    return (channel.fs is None or channel.fs >= SLOWEST_HZ) and not is_other_unit(channel.unit)


def _candidates(channels: Sequence[Channel], kinds: Sequence[ChannelKind]) -> list[int]:
    """Return the channels named as an ECG.

    Those with an implausible rate or unit are returned only if there are no others.
    """
    plausible = [place for place, channel in enumerate(channels) if _is_plausible(channel)]
    for places in (plausible, range(len(channels))):
        named = [place for place in places if kinds[place] is ChannelKind.ECG]
        leads = [place for place in places if kinds[place] is ChannelKind.LEAD]
        maybe = [place for place in places if kinds[place] is ChannelKind.MAYBE]
        doubtful = bool(named) or ChannelKind.ELECTRIC in kinds
        if named or leads or (maybe and not doubtful):
            return sorted(named + leads + (maybe if leads or not doubtful else []))
    return []


def _unknown(channels: Sequence[Channel], kinds: Sequence[ChannelKind]) -> list[int]:
    """Return the channels whose names say nothing.

    The list is empty if other signals make it unclear which channel is the ECG.
    """
    unknown = [
        place
        for place, channel in enumerate(channels)
        if kinds[place] is ChannelKind.UNKNOWN
        and _is_plausible(channel)
        and (not channel.unit or factor_to_mv(channel.unit) is not None)
    ]
    if {ChannelKind.ELECTRIC, ChannelKind.MAYBE} & set(kinds) or (
        len(unknown) > 1 and ChannelKind.OTHER in kinds
    ):
        return []
    return unknown


def _rate_of_most(channels: Sequence[Channel], places: Sequence[int]) -> float | None:
    """Return the most common rate of the channels; in a tie, that of the first channel."""
    counts = Counter(channels[place].fs for place in places)
    return max(counts, key=lambda fs: counts[fs])


def _remarks(
    channels: Sequence[Channel],
    kinds: Sequence[ChannelKind],
    raw: Sequence[int],
    chosen: Sequence[int],
) -> tuple[Remark, ...]:
    """Return remarks on channels that are left out although they may be an ECG.

    A filtered copy, or an unnamed channel without a unit, needs no remark.
    """
    remarks = []
    left_out = [place for place in raw if place not in chosen]
    if left_out:
        remarks.append(
            Remark(
                "leads-left-out",
                f"{_numbers_of(channels, left_out)} left out, which may be an ECG as well: only "
                "channels of one rate and in a unit of voltage are read together (here "
                f"{_numbers_of(channels, chosen)})",
                "Read the others by naming them with --lead NAME.",
            )
        )
    beside = [
        place
        for place, channel in enumerate(channels)
        if kinds[place] in (ChannelKind.MAYBE, ChannelKind.UNKNOWN)
        and place not in raw
        and not is_processed(channel.name)
        and _is_plausible(channel)
        and factor_to_mv(channel.unit) is not None
    ]
    if beside:
        remarks.append(
            Remark(
                "channels-not-read",
                f"{_numbers_of(channels, beside)} not read: measured in volts, but other channels "
                "are named as the ECG",
                "If one of them is an ECG lead, name the leads with --lead NAME, or its name in "
                "ecg_channels in site.toml.",
                "info",
            )
        )
    return tuple(remarks)


def _numbers_of(channels: Sequence[Channel], places: Sequence[int]) -> str:
    """List channels by number, because a name may be the patient's."""
    rates = {channels[place].fs for place in places} - {None}
    numbers = ", ".join(str(place + 1) for place in places)
    return f"{'channel' if len(places) == 1 else 'channels'} {numbers}" + "".join(
        f" ({fs:g} Hz)" for fs in sorted(filter(None, rates))
    )
