"""WFDB records made of several segments, put on one time axis."""

from dataclasses import replace

import numpy as np

from ecgfl_adapters.errors import FileUnreadable
from ecgfl_adapters.leads import Channel, named_leads
from ecgfl_adapters.protocol import ReadOptions
from ecgfl_adapters.recording import Lead
from ecgfl_adapters.timeline import check_span
from ecgfl_adapters.wfdb_header import Header, Segment, read_header
from ecgfl_adapters.wfdb_leads import Leads, read_leads


def read_segments(header: Header, fs: float, options: ReadOptions) -> Leads:
    """Every segment's leads at their true times; NaN where a segment is a gap ("~") or lacks a lead. Raises `AdapterError`."""
    every_lead = replace(options, leads=())
    parts = [(segment, _read_segment(header, segment, fs, every_lead)) for segment in header.segments if segment.length > 0]
    found = [part for _, part in parts if part is not None]
    if not found:
        raise FileUnreadable(header.path, "every segment is a gap", "Copy the record again, with its segment files")
    rate = found[0].fs
    if any(part.fs != rate for part in found):
        raise FileUnreadable(
            header.path, f"segments differ in rate: {sorted({part.fs for part in found})} Hz", "Read them singly"
        )
    per_frame = round(rate / fs)
    total = sum(segment.length for segment, _ in parts) * per_frame
    check_span(header.path, total, rate, sum(part.leads[0].samples.size for part in found))

    steps: dict[str, float] = {}
    for part in found:
        for lead in part.leads:
            steps.setdefault(lead.name, lead.step_mv)
    names = list(steps)
    channels = [Channel(name) for name in names]
    chosen = [names[index] for index in named_leads(header.path, channels, options.leads)] if options.leads else names
    axes = {name: np.full(total, np.nan, dtype=np.float32) for name in chosen}
    start = 0
    for segment, read in parts:
        stop = start + segment.length * per_frame
        for lead in read.leads if read is not None else ():
            if lead.samples.size != stop - start:
                raise FileUnreadable(
                    header.path,
                    f"segment {segment.name!r} holds {lead.samples.size} samples, but the header states {stop - start}",
                    "Copy the record again, with its segment files",
                )
            if lead.name in axes:
                axes[lead.name][start:stop] = lead.samples
        start = stop
    remarks = tuple(dict.fromkeys(remark for part in found for remark in part.remarks))
    return Leads(rate, tuple(Lead(name, axes[name], steps[name]) for name in chosen), remarks)


def _read_segment(header: Header, segment: Segment, fs: float, options: ReadOptions) -> Leads | None:
    if segment.name == "~":
        return None
    part = read_header(header.path.with_name(f"{segment.name}.hea"))
    if part.segments:
        raise FileUnreadable(part.path, f"segment of {header.path.name} that has segments itself", "Read it on its own")
    return read_leads(part, part.fs or fs, options) if part.signals else None
