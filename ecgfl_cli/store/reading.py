"""How recordings are read and judged, and what of them is kept."""

from dataclasses import dataclass, field

from ecgfl_adapters.protocol import ReadOptions

from ecgfl_cli.quality.limits import Limits


@dataclass(frozen=True)
class Reading:
    """format : an adapter's name or "auto". options : for the adapter. lead : the lead to work with, None for the usual one.

    patient : what stands for the patient; see `patient_key`. limits : for the checks.
    keep_age_band, keep_sex : whether these enter the store.
    """

    format: str = "auto"
    options: ReadOptions = field(default_factory=ReadOptions)
    lead: str | None = None
    patient: str = "auto"
    limits: Limits = field(default_factory=Limits)
    keep_age_band: bool = False
    keep_sex: bool = False
