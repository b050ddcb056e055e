"""How recordings are read and checked, and what is kept of them."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from ecgfl_adapters.label_folder import LabelFolder
from ecgfl_adapters.protocol import ReadOptions

from ecgfl_cli.quality.limits import Limits


@dataclass(frozen=True)
class Reading:
    """How recordings are read and checked, and what is kept of them.

    Attributes
    ----------
    format : str
        Name of an adapter, or "auto".
    options : ReadOptions
        Options of the adapter.
    lead : str or None
        Lead that the beats are cut from; None for the usual one.
    labels_in : LabelFolder or None
        Folder with the labels of the recordings; it takes precedence over `options.labels`.
    patient : str
        Rule for the patient's identifier; see `patient_key`.
    limits : Limits
        Limits of the checks.
    keep_age_band, keep_sex : bool
        Whether these enter the store.
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
        """Return the options for one recording.

        Raises
        ------
        LabelsUnreadable
            It is unclear which labels are those of the recording.
        """
        if self.labels_in is None:
            return self.options
        return replace(self.options, labels=self.labels_in.option_for(recording))
