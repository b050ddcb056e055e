"""The format of ACME's recorders: three files a recording.

- `NAME.acme`: the line "ACME1", then JSON with `hz`, `leads`, `microvolts` (of one unit), `serial`
and `patient`.
- `NAME.acs`: the samples, 16-bit little-endian, lead after lead.
- `NAME.beats`: beat labels from ACME's viewer, one "SAMPLE SYMBOL" a line; it may be absent.
"""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from ecgfl_adapters import (
    AdapterBase,
    BeatLabel,
    Channel,
    FileUnreadable,
    LabelRequest,
    LabelsUnreadable,
    Lead,
    ReadOptions,
    Recording,
    Source,
    choose_leads,
    labels_for,
)

MAGIC = b"ACME1\n"
FIX = "Export it again from the ACME viewer"


class AcmeAdapter(AdapterBase):
    """Reads and writes ACME's recordings, and reads its label files."""

    name = "acme"
    suffixes = frozenset({".acme", ".acs"})
    label_suffixes = frozenset({".beats"})

    def recognises(self, path: Path) -> bool:
        """Return whether the file starts like a header of ACME's."""
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC

    def read(self, path: Path, options: ReadOptions) -> Recording:
        """Read the samples beside a header. Raises `AdapterError`."""
        try:
            header = json.loads(path.read_bytes().removeprefix(MAGIC))
            names = [str(name) for name in header["leads"]]
            step_mv = float(header["microvolts"]) / 1000
            fs, patient = float(header["hz"]), str(header["patient"])
            counts = np.fromfile(_samples_of(path), dtype="<i2").reshape(len(names), -1)
        except (KeyError, OSError, TypeError, ValueError) as error:
            raise FileUnreadable(path, f"not as ACME writes it: {error}", FIX) from error
        chosen, left_out = choose_leads(path, [Channel(name) for name in names], options)
        labels = labels_for(path.with_suffix(""), options, [path.with_suffix(".beats")], fs)
        return Recording(
            name=path.stem,
            fs=fs,
            leads=tuple(
                Lead(names[index], (counts[index] * step_mv).astype(np.float32), step_mv)
                for index in chosen
            ),
            source=Source(
                path, self.name, patient, identifiers={"serial": str(header.get("serial", ""))}
            ),
            labels=labels.labels,
            remarks=(*left_out, *labels.remarks),
            label_origin=labels.origin,
        )

    def write(self, recording: Recording, folder: Path) -> tuple[Path, ...]:
        """Write a header, samples and, if there are labels, a label file."""
        samples = np.stack([np.asarray(lead.samples) for lead in recording.leads])
        if np.isnan(samples).any():
            raise ValueError("ACME's format has no way to say that samples are missing")
        step_mv = max(
            *(lead.step_mv for lead in recording.leads), float(np.abs(samples).max()) / 32767
        )
        header = {
            "hz": recording.fs,
            "leads": [lead.name for lead in recording.leads],
            "microvolts": step_mv * 1000,
            "serial": "",
            "patient": recording.name,
        }
        path = folder / f"{recording.name}.acme"
        path.write_bytes(MAGIC + json.dumps(header).encode())
        np.rint(samples / step_mv).astype("<i2").tofile(_samples_of(path))
        if recording.labels is None:
            return (path, _samples_of(path))
        beats = path.with_suffix(".beats")
        beats.write_text("".join(f"{label.sample} {label.symbol}\n" for label in recording.labels))
        return (path, _samples_of(path), beats)

    def main_file(self, path: Path) -> Path:
        """Return the header of a recording that is named by its samples."""
        return path.with_suffix(".acme") if path.suffix.lower() == ".acs" else path

    def companions(self, path: Path) -> Iterable[Path]:
        """Return the samples beside a header."""
        return [_samples_of(path)] if path.suffix.lower() == ".acme" else []

    def is_label_file(self, path: Path) -> bool:
        """Return whether it is a file of beat labels."""
        return path.suffix.lower() in self.label_suffixes

    def read_labels(self, path: Path, request: LabelRequest) -> tuple[BeatLabel, ...]:
        """Read a label file. Its samples are those of the recording. Raises `LabelsUnreadable`."""
        del request
        try:
            pairs = [line.split() for line in path.read_text().splitlines()]
            labels = [BeatLabel(int(sample), symbol) for sample, symbol in pairs]
        except (OSError, ValueError) as error:
            raise LabelsUnreadable(path, f"not as ACME writes it: {error}", FIX) from error
        return tuple(sorted(labels, key=lambda label: label.sample))


def _samples_of(path: Path) -> Path:
    return path.with_suffix(".acs")
