"""How recordings are read and judged, and what of them is kept."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from ecgfl_adapters.label_folder import LabelFolder
from ecgfl_adapters.protocol import ReadOptions

from ecgfl_cli.quality.limits import Limits


@dataclass(frozen=True)
class Reading:
    """format : an adapter's name or "auto". options : for the adapter. lead : the lead to work with, None for the usual one.

    labels_in : the folder of labels, where the recordings' labels are in one; it goes before `options.labels`.
    patient : what stands for the patient; see `patient_key`. limits : for the checks.
    keep_age_band, keep_sex : whether these enter the store.
    """

    format: str = "auto"
    options: ReadOptions = field(default_factory=ReadOptions)
    lead: str | None = None
    labels_in: LabelFolder | None = None
    patient: str = "auto"
    limits: Limits = field(default_factory=Limits)
    keep_age_band: bool = False
    keep_sex: bool = False

    def options_for(self, recording: Path) -> ReadOptions:
        """Return the options to read one recording with. Raises `LabelsUnreadable` when its labels are not clear."""
        if self.labels_in is None:
            return self.options
        return replace(self.options, labels=self.labels_in.option_for(recording))
