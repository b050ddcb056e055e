"""The adapter of European Data Format files: EDF, EDF+C, EDF+D, BDF and BDF+."""

from pathlib import Path

from ecgfl_adapters.bounded import first_bytes
from ecgfl_adapters.companions import companion, content_of
from ecgfl_adapters.edf.annotations import read_annotations
from ecgfl_adapters.edf.data_records import data_records
from ecgfl_adapters.edf.header import BDF_MAGIC, EDF_MAGIC, EdfChannel, check_scale, read_header
from ecgfl_adapters.edf.labels import beat_labels, read_edf_labels
from ecgfl_adapters.edf.lead import EdfSamples, missing_in
from ecgfl_adapters.edf.padding import is_written_here
from ecgfl_adapters.edf.patient import source_of
from ecgfl_adapters.edf.timeline import axis_of, drift_of
from ecgfl_adapters.edf.writer import write_edf
from ecgfl_adapters.errors import LeadMissing, UnitUnknown
from ecgfl_adapters.labels import ANNOTATORS, Labels, labels_for
from ecgfl_adapters.leads import Channel as NamedChannel
from ecgfl_adapters.leads import choose_leads, unique_names
from ecgfl_adapters.missing_codes import missing_remark
from ecgfl_adapters.protocol import AdapterBase, LabelRequest, ReadOptions
from ecgfl_adapters.recording import BeatLabel, Lead, Recording
from ecgfl_adapters.registry import recording_suffixes
from ecgfl_adapters.units import ACCEPTED, Scale, check_step, factor_to_mv, is_adc, parse_units


class EdfAdapter(AdapterBase):
    """EDF and BDF with their "+" variants. Gaps of EDF+D become NaN at their true times."""

    name = "edf"
    suffixes = frozenset({".edf", ".bdf"})
    label_suffixes = suffixes
    annotator_suffixes = (".edf",)

    def recognises(self, path: Path) -> bool:
        """Return whether the file begins like a header of EDF or BDF."""
        if path.suffix.lower() in self.suffixes:
            return path.is_file()
        try:
            return first_bytes(path, 8) in {EDF_MAGIC, BDF_MAGIC}
        except OSError:
            return False

    def read(self, path: Path, options: ReadOptions) -> Recording:
        """Read the channels labelled as ECG, or those that `options.leads` names.

        Channels of another rate than most of them are left out. Labels are the annotations whose
        text is a WFDB symbol or a known word for a beat, see `edf.labels.beat_labels`; None if
        there is no such beat. Samples stay in the file until they are needed.

        Raises
        ------
        AdapterError
            If the file cannot be used.
        """
        content = content_of(path)
        header = read_header(content)
        channels = [channel for channel in header.channels if not channel.is_annotations]
        if not channels:
            raise LeadMissing(
                path,
                "the file holds annotations and no signal",
                "Name the recording that they belong to; `ingest`, `validate` and `evaluate` take "
                "this file with --labels FILE",
            )
        names = unique_names([channel.label for channel in channels])
        described = [
            NamedChannel(name, channel.dimension, channel.samples / header.duration)
            for name, channel in zip(names, channels, strict=True)
        ]
        chosen, left_out = choose_leads(path, described, options, accept_unknown=False)
        scales = [_scale(path, channels[index], options, is_bdf=header.is_bdf) for index in chosen]
        records = data_records(content, header, force=options.force)
        notes = read_annotations(records)

        per_record = channels[chosen[0]].samples
        fs = per_record / header.duration
        axis = axis_of(path, header, notes, records.count, per_record)
        missing = [missing_in(records, channels[index]) for index in chosen]
        leads = tuple(
            Lead(
                names[index],
                EdfSamples(
                    records,
                    channels[index],
                    axis,
                    scale.baseline or 0.0,
                    scale.factor,
                    tuple(code.value for code in codes),
                ),
                abs(scale.factor),
            )
            for index, scale, codes in zip(chosen, scales, missing, strict=True)
        )
        absent = [
            missing_remark(f"channel {index + 1}", code)
            for index, codes in zip(chosen, missing, strict=True)
            for code in codes
        ]
        labels = (
            Labels(
                beat_labels(
                    notes,
                    fs,
                    options.vocabulary,
                    drift_of(axis, notes, fs, per_record),
                    are_beats=is_written_here(header.recording),
                )
            )
            if options.labels is None
            else labels_for(path.with_suffix(""), options, (), fs)
        )
        return Recording(
            path.stem,
            fs,
            leads,
            source_of(path, header),
            labels.labels,
            (*records.remarks, *left_out, *absent, *labels.remarks),
            labels.origin,
        )

    def write(self, recording: Recording, folder: Path) -> tuple[Path, ...]:
        """Write `NAME.edf`, an EDF+C file with labels as annotations; see `writer.write_edf`."""
        return write_edf(recording, folder)

    def listed_file(self, path: Path) -> Path | None:
        """Return the file itself, because a RECORDS file lists EDF files with their suffix."""
        return companion(path, path.name) if path.suffix.lower() in self.suffixes else None

    def is_label_file(self, path: Path) -> bool:
        """Return whether it is NAME.ANNOTATOR.edf beside a recording NAME.

        EDF viewers save labels in such files.
        """
        name, dot, annotator = path.stem.rpartition(".")
        if path.suffix.lower() not in self.suffixes or not dot or annotator not in ANNOTATORS:
            return False
        recordings = (path.with_name(f"{name}{suffix}") for suffix in recording_suffixes())
        return path.is_file() and any(recording.is_file() for recording in recordings)

    def read_labels(self, path: Path, request: LabelRequest) -> tuple[BeatLabel, ...]:
        """Read the annotations of an EDF+ file; see `labels.read_edf_labels`."""
        return read_edf_labels(content_of(path), request.fs, request.vocabulary)


def _scale(path: Path, channel: EdfChannel, options: ReadOptions, *, is_bdf: bool) -> Scale:
    """Return the scale: millivolts are `(digital - baseline) * factor`."""
    given = None if options.units is None else parse_units(path, options.units)
    factor = factor_to_mv(channel.dimension)
    if given is not None and not is_adc(options.units):
        factor = given.factor
    if factor is None:
        if given is None:
            stated = repr(channel.dimension) if channel.dimension else "blank"
            raise UnitUnknown(
                path,
                f"physical dimension of channel {channel.label!r} is {stated}",
                f"Give --units: {ACCEPTED}",
            )
        return Scale(given.factor, given.baseline or 0.0)
    check_scale(path, channel, bits=24 if is_bdf else 16)
    check_step(path, f"channel {channel.label!r}", factor * channel.gain)
    return Scale(factor * channel.gain, channel.digital_max - channel.physical_max / channel.gain)
