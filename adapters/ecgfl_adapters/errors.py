"""Errors of the adapters.

AdapterError
├── FileMissing         the path does not exist or cannot be opened
├── FormatUnknown       no adapter recognises the file, or none has that name
├── FileUnreadable      empty, truncated, corrupt or not what its name says
├── UnitUnknown         no factor to millivolts, and none given
├── RateUnknown         no sampling rate, and none given
├── LeadMissing         the lead asked for is not in the file, or the file holds no ECG
└── LabelsUnreadable    the beat labels asked for are missing or broken
"""

from pathlib import Path


class AdapterError(ValueError):
    """A file that cannot become a `Recording`.

    Parameters
    ----------
    path : str or Path
        The file.
    problem : str
        What is wrong, with the field and its value.
    fix : str
        What the user can do about it.
    """

    def __init__(self, path: str | Path, problem: str, fix: str) -> None:
        super().__init__(f"{path}: {problem}. {fix}")
        self.path = Path(path)
        self.problem = problem
        self.fix = fix

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        """Allow pickling, which passes an error from a worker process."""
        return type(self), (self.path, self.problem, self.fix)


class FileMissing(AdapterError):
    """The path does not exist or cannot be opened."""


class FormatUnknown(AdapterError):
    """No adapter recognises the file, or no adapter has the given name."""


class FileUnreadable(AdapterError):
    """The file is empty, truncated, corrupt or not what its name says."""


class UnitUnknown(AdapterError):
    """The unit is not a voltage, or none is stated and none was given."""


class RateUnknown(AdapterError):
    """No sampling rate is stated and none was given, or two rates differ."""


class LeadMissing(AdapterError):
    """The requested lead is not in the file, or the file holds no ECG."""


class LabelsUnreadable(AdapterError):
    """The requested beat labels are missing or broken."""


def changed_meanwhile(path: Path) -> FileUnreadable:
    """Return the error for a file that changed while it was read."""
    return FileUnreadable(
        path,
        "the file changed while it was read",
        "Wait until it has been written or copied, and try again",
    )
