"""Reads WFDB records of several segments and puts them on one time axis."""

from dataclasses import replace

import numpy as np

from ecgfl_adapters.companions import companion
from ecgfl_adapters.errors import FileUnreadable
from ecgfl_adapters.leads import unique_names
from ecgfl_adapters.protocol import ReadOptions
from ecgfl_adapters.recording import Lead, Remark
from ecgfl_adapters.timeline import check_span
from ecgfl_adapters.wfdb.header import GAP, NULL, Segment, SignalSpec, WfdbHeader, read_header
from ecgfl_adapters.wfdb.leads import Leads, choose_signals, read_leads


def read_segments(header: WfdbHeader, fs: float, options: ReadOptions) -> Leads:
    """Return the leads of all segments at their true times.

    They are NaN in a gap ("~") and in a segment without the lead. Raises `AdapterError`.
    """
    headers = [
        (segment, _segment_header(header, segment))
        for segment in header.segments
        if segment.length > 0
    ]
    present = [part for _, part in headers if part is not None]
    chosen, left_out = _names_to_read(header, present, fs, options) if present else ([], ())
    parts = [
        (segment, None if part is None else _read_segment(part, fs, chosen, options))
        for segment, part in headers
    ]
    segments = [part for _, part in parts if part is not None]
    if not segments:
        raise FileUnreadable(
            header.path, "every segment is a gap", "Copy the record again, with its segment files"
        )
    rate = segments[0].fs
    if any(part.fs != rate for part in segments):
        raise FileUnreadable(
            header.path,
            f"segments differ in rate: {sorted({part.fs for part in segments})} Hz",
            "Read them singly",
        )
    per_frame = round(rate / fs)
    total = sum(segment.length for segment, _ in parts) * per_frame
    check_span(header.path, total, rate, sum(part.leads[0].samples.size for part in segments))

    steps: dict[str, float] = {}
    for part in segments:
        for lead in part.leads:
            steps.setdefault(lead.name, lead.step_mv)
    axes = {name: np.full(total, np.nan, dtype=np.float32) for name in chosen}
    start = 0
    for segment, read in parts:
        stop = start + segment.length * per_frame
        for lead in read.leads if read is not None else ():
            if lead.samples.size != stop - start:
                raise FileUnreadable(
                    header.path,
                    f"segment {segment.name!r} holds {lead.samples.size} samples, but the header "
                    f"states {stop - start}",
                    "Copy the record again, with its segment files",
                )
            if lead.name in axes:
                axes[lead.name][start:stop] = lead.samples
        start = stop
    remarks = tuple(
        dict.fromkeys(remark for part in segments for remark in (*part.remarks, *left_out))
    )
    return Leads(
        rate,
        tuple(Lead(name, axes[name], steps[name]) for name in chosen if name in steps),
        remarks,
    )


def _segment_header(header: WfdbHeader, segment: Segment) -> WfdbHeader | None:
    """Return the header of a segment; None for a gap, and for a segment without any signal."""
    if segment.name == GAP:
        return None
    part = read_header(companion(header.path, f"{segment.name}.hea"))
    if part.segments:
        raise FileUnreadable(
            part.path,
            f"segment of {header.path.name} that has segments itself",
            "Read it on its own",
        )
    return part if any(signal.fmt != NULL for signal in part.signals) else None


def _names_to_read(
    header: WfdbHeader, parts: list[WfdbHeader], fs: float, options: ReadOptions
) -> tuple[list[str], tuple[Remark, ...]]:
    """Return the leads to read, chosen among the signals of all segments.

    A segment may lack the ECG.
    """
    signals: dict[str, SignalSpec] = {}
    for part in parts:
        for name, signal in zip(_names_of(part), part.signals, strict=True):
            signals.setdefault(name, replace(signal, name=name))
    together = replace(header, signals=tuple(signals.values()))
    chosen, left_out = choose_signals(together, fs, options)
    return [list(signals)[index] for index in chosen], left_out


def _names_of(part: WfdbHeader) -> list[str]:
    return unique_names([signal.name for signal in part.signals])


def _read_segment(
    part: WfdbHeader, fs: float, chosen: list[str], options: ReadOptions
) -> Leads | None:
    """Return the chosen leads of a segment, or None if it has none of them."""
    there = tuple(name for name in chosen if name in _names_of(part))
    return read_leads(part, part.fs or fs, replace(options, leads=there)) if there else None
