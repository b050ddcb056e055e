"""The recorder's format: the line "ACME1", a line of JSON, then 16-bit little-endian samples, lead after lead.

The JSON has `hz`, `leads`, `microvolts` (of one unit), `serial`, `patient`, and `beats`: pairs of sample and WFDB symbol or null.
"""

import json
from pathlib import Path

import numpy as np
from ecgfl_adapters.errors import FileUnreadable
from ecgfl_adapters.labels import Labels, labels_for
from ecgfl_adapters.leads import Channel, choose_leads
from ecgfl_adapters.protocol import ReadOptions
from ecgfl_adapters.recording import BeatLabel, Lead, Recording, Source

MAGIC = b"ACME1\n"


class AcmeAdapter:
    name = "acme"

    def recognises(self, path: Path) -> bool:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC

    def read(self, path: Path, options: ReadOptions) -> Recording:
        try:
            head, _, raw = path.read_bytes().removeprefix(MAGIC).partition(b"\n")
            said = json.loads(head)
            names, step = [str(name) for name in said["leads"]], float(said["microvolts"]) / 1000
            counts = np.frombuffer(raw, dtype="<i2").reshape(len(names), -1)
            beats = (
                None
                if said["beats"] is None
                else tuple(BeatLabel(int(at), str(symbol)) for at, symbol in said["beats"])
            )
            fs, patient = float(said["hz"]), str(said["patient"])
        except (KeyError, TypeError, ValueError) as error:
            raise FileUnreadable(
                path, f"not as ACME writes it: {error}", "Export it again from the ACME viewer"
            ) from error
        wanted, left_out = choose_leads(path, [Channel(name) for name in names], options)
        labels = (
            Labels(beats)
            if options.labels is None
            else labels_for(path.with_suffix(""), options, (), fs)
        )
        return Recording(
            name=path.stem,
            fs=fs,
            leads=tuple(
                Lead(names[place], (counts[place] * step).astype(np.float32), step)
                for place in wanted
            ),
            source=Source(
                path, self.name, patient, identifiers={"serial": str(said.get("serial", ""))}
            ),
            labels=labels.labels,
            remarks=(*left_out, *labels.remarks),
            label_origin=labels.origin,
        )

    def write(self, recording: Recording, folder: Path) -> tuple[Path, ...]:
        samples = np.stack([np.asarray(lead.samples) for lead in recording.leads])
        if np.isnan(samples).any():
            raise ValueError("ACME's format has no way to say that samples are missing")
        step = max(
            *(lead.step_mv for lead in recording.leads), float(np.abs(samples).max()) / 32767
        )
        said = {
            "hz": recording.fs,
            "leads": [lead.name for lead in recording.leads],
            "microvolts": step * 1000,
            "serial": "",
            "patient": recording.name,
            "beats": recording.labels,
        }
        counts = np.rint(samples / step).astype("<i2")
        path = folder / f"{recording.name}.acme"
        path.write_bytes(MAGIC + json.dumps(said).encode() + b"\n" + counts.tobytes())
        return (path,)
