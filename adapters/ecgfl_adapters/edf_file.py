"""European Data Format files: EDF, EDF+C, EDF+D, BDF and BDF+."""

import io
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgfl_adapters.edf_annotations import Annotations, read_annotations
from ecgfl_adapters.edf_header import BDF_MAGIC, EDF_MAGIC, Channel, Header, parse_header
from ecgfl_adapters.edf_write import true_length, write_edf
from ecgfl_adapters.errors import LIBRARY_ERRORS, FileMissing, FileUnreadable, LeadMissing, UnitUnknown
from ecgfl_adapters.labels import labels_for
from ecgfl_adapters.leads import choose_leads, is_ecg, unique_names
from ecgfl_adapters.protocol import ReadOptions
from ecgfl_adapters.recording import BeatLabel, Lead, Recording, Source
from ecgfl_adapters.symbols import BEAT_SYMBOLS, in_order, symbol_of
from ecgfl_adapters.timeline import check_span, spread
from ecgfl_adapters.units import ACCEPTED, Scale, factor_to_mv, is_adc, parse_units

_MAX_ROUNDING = 1.5
"""Samples by which time stamps of adjoining data records may be off; recorders round them."""


class EdfAdapter:
    """EDF and BDF with their "+" variants; gaps of EDF+D become NaN at their true times."""

    name = "edf"

    def recognises(self, path: Path) -> bool:
        if path.suffix.lower() in {".edf", ".bdf"}:
            return path.is_file()
        try:
            with path.open("rb") as file:
                return file.read(8) in {EDF_MAGIC, BDF_MAGIC}
        except OSError:
            return False

    def read(self, path: Path, options: ReadOptions) -> Recording:
        """Read the channels labelled as ECG, or those that `options.leads` names.

        Channels that do not share the rate of the first one are left out. Labels are the annotations whose text is a WFDB symbol
        or a known word for a beat, None when there is no such beat. Raises `AdapterError`.
        """
        try:
            raw = path.read_bytes()
        except OSError as error:
            raise FileMissing(path, f"cannot be opened ({error.strerror})", "Check the path and its permissions") from error
        header = parse_header(path, raw)
        channels = [channel for channel in header.channels if not channel.is_annotations]
        names = unique_names([channel.label for channel in channels])
        chosen = _choose(path, header, channels, names, options)
        scales = [_scale(path, channels[index], options) for index in chosen]
        digital = _digital(path, header, raw)
        notes = read_annotations(path, header, raw)

        per_record = channels[chosen[0]].samples
        fs = per_record / header.duration
        positions, length = _positions(path, header, notes, per_record, fs)
        leads = tuple(
            Lead(names[index], spread(_millivolts(digital[index], scale), positions, length), abs(scale.factor))
            for index, scale in zip(chosen, scales, strict=True)
        )
        labels = _beat_labels(notes, fs, options) if options.labels is None else labels_for(path.with_suffix(""), options, (), fs)
        return Recording(path.stem, fs, leads, _source(path, header), labels)

    def write(self, recording: Recording, folder: Path) -> tuple[Path, ...]:
        """Write `NAME.edf`, an EDF+C file with the labels as annotations; see `edf_write.write_edf` for what it cannot hold."""
        return write_edf(recording, folder)


def _choose(path: Path, header: Header, channels: list[Channel], names: list[str], options: ReadOptions) -> list[int]:
    chosen = choose_leads(path, names, options.leads, lambda index: is_ecg(channels[index].label, options.ecg_channels))
    rates = {index: channels[index].samples / header.duration for index in chosen}
    if len(set(rates.values())) > 1 and options.leads:
        shown = ", ".join(f"{names[index]} {rate:g} Hz" for index, rate in rates.items())
        raise LeadMissing(path, f"the leads asked for differ in rate: {shown}", "Ask for leads of one rate with --lead NAME")
    return [index for index in chosen if rates[index] == rates[chosen[0]]]


def _scale(path: Path, channel: Channel, options: ReadOptions) -> Scale:
    """Millivolts are `(digital - baseline) * factor`."""
    given = None if options.units is None else parse_units(path, options.units)
    factor = factor_to_mv(channel.dimension)
    if given is not None and not is_adc(options.units):
        factor = given.factor
    if factor is None:
        if given is None:
            stated = repr(channel.dimension) if channel.dimension else "blank"
            raise UnitUnknown(path, f"physical dimension of channel {channel.label!r} is {stated}", f"Give --units: {ACCEPTED}")
        return Scale(given.factor, given.baseline or 0.0)
    return Scale(factor * channel.gain, channel.digital_max - channel.physical_max / channel.gain)


def _digital(path: Path, header: Header, raw: bytes) -> list[NDArray[np.signedinteger]]:
    """Digital values of every channel but the annotations, each of shape (records * samples,)."""
    import edfio  # not needed to recognise a file

    try:
        if header.is_bdf:
            return [np.asarray(signal.digital) for signal in edfio.read_bdf(io.BytesIO(raw), header_encoding="latin-1").signals]
        return [np.asarray(signal.digital) for signal in edfio.read_edf(raw, header_encoding="latin-1").signals]
    except LIBRARY_ERRORS as error:
        raise FileUnreadable(path, f"the samples cannot be read ({error})", "Export the file again") from error


def _millivolts(digital: NDArray[np.signedinteger], scale: Scale) -> NDArray[np.float32]:
    return ((digital.astype(np.float64) - (scale.baseline or 0.0)) * scale.factor).astype(np.float32)


def _positions(path: Path, header: Header, notes: Annotations, per_record: int, fs: float) -> tuple[NDArray[np.int64], int]:
    """Where on the continuous axis each sample stands, and the length of that axis.

    A file may call itself continuous (EDF+C) and still have data records that start late: its time stamps are believed.
    """
    starts = np.arange(header.records) * header.duration if notes.starts is None else notes.starts - notes.starts[0]
    absent = np.diff(starts) * fs - per_record  # samples missing between a data record and the next
    if (absent < -_MAX_ROUNDING).any():
        record = int(np.argmax(absent < -_MAX_ROUNDING)) + 1
        raise FileUnreadable(
            path,
            f"data record {record} starts at {starts[record]:g} s, before the end of the one before it",
            "Export the file again from the recorder's software",
        )
    breaks = np.concatenate(([0], np.flatnonzero(absent > _MAX_ROUNDING) + 1))
    run = np.repeat(breaks, np.diff(np.append(breaks, header.records)))  # for each data record, where its gapless run begins
    first = np.rint(starts[run] * fs).astype(np.int64) + (np.arange(header.records) - run) * per_record
    check_span(path, int(first[-1]) + per_record, fs)
    positions = (first[:, None] + np.arange(per_record)).ravel()
    if breaks.size == 1:
        positions = positions[: true_length(header.recording, positions.size, per_record)]
    return positions, int(positions[-1]) + 1


def _beat_labels(notes: Annotations, fs: float, options: ReadOptions) -> tuple[BeatLabel, ...] | None:
    origin = 0.0 if notes.starts is None else float(notes.starts[0])
    labels = [
        BeatLabel(round((note.onset - origin) * fs), symbol)
        for note in notes.annotations
        if (symbol := symbol_of(note.text, options.vocabulary)) is not None and note.onset >= origin
    ]
    return in_order(labels) if any(label.symbol in BEAT_SYMBOLS for label in labels) else None


def _source(path: Path, header: Header) -> Source:
    fields = {
        "patient": header.patient,
        "recording": header.recording,
        "start": "" if header.start is None else header.start.isoformat(" "),
    }
    named = re.sub(r"[Xx\s]", "", header.patient) != ""
    return Source(
        path=path,
        format=EdfAdapter.name,
        patient=header.patient if named else path.stem,
        start=header.start,
        identifiers={key: value for key, value in fields.items() if value},
    )
