"""What an adapter says when it cannot read a file.

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

LIBRARY_ERRORS: tuple[type[Exception], ...] = (Exception,)
"""What other people's code raises on broken files: anything. A fault of the file, not of the program: it is `FileUnreadable`."""


class AdapterError(ValueError):
    """A file that cannot become a `Recording`.

    Parameters
    ----------
    path : the file in question.
    problem : what is wrong, with the offending field and value.
    fix : what a person can do about it.
    """

    def __init__(self, path: str | Path, problem: str, fix: str) -> None:
        super().__init__(f"{path}: {problem}. {fix}")
        self.path = Path(path)
        self.problem = problem
        self.fix = fix

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        """For the way from one process to another, where an error is made anew."""
        return type(self), (self.path, self.problem, self.fix)


class FileMissing(AdapterError):
    pass


class FormatUnknown(AdapterError):
    pass


class FileUnreadable(AdapterError):
    pass


class UnitUnknown(AdapterError):
    pass


class RateUnknown(AdapterError):
    pass


class LeadMissing(AdapterError):
    pass


class LabelsUnreadable(AdapterError):
    pass


def changed_meanwhile(path: Path) -> FileUnreadable:
    """Raised for a file that is not the same at the end of reading as at its begin."""
    return FileUnreadable(
        path,
        "the file changed while it was read",
        "Wait until it has been written or copied, and try again",
    )
