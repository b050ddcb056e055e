"""Determines who made the labels of a recording: a reference, a reviewer who corrected predictions, or this program itself.

`predict` writes `NAME.ecgfl` and `NAME.ecgfl.csv`, and beside them `NAME.ecgfl.origin.json` with digests of the predicted
beats. A prediction file whose beats have another digest was corrected. The digest does not depend on how the file is formatted.
"""

import json
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Literal

from ecgfl_adapters.companions import companion
from ecgfl_adapters.recording import BeatLabel, Remark

Origin = Literal["reference", "reviewer", "machine"]

ANNOTATOR = "ecgfl"
"""Annotator name that this program uses."""

ORIGIN_SUFFIX = f".{ANNOTATOR}.origin.json"
SCHEMA = "ecgfl.origin/1"
_MOST = 100
"""Maximum number of predictions in an origin file; the latest ones are kept."""

_LARGEST = 1 << 16
"""Maximum size of an origin file in bytes; a prediction takes about 120."""

MACHINE_LABELS = Remark(
    "labels-by-machine",
    "the labels are this program's own prediction, and nothing shows that a person corrected them; they are left out",
    "Correct NAME.ecgfl or NAME.ecgfl.csv and read it again with --labels ecgfl. A person who has checked every beat and found "
    "nothing to correct saves them as NAME.labels.csv, which is read without --labels.",
)


def origin_text(path: Path, labels: Sequence[BeatLabel], model: str) -> str:
    """Return the new content of an origin file: its earlier predictions and this one.

    Every prediction stays listed, since an older one may still be there in another format.

    Parameters
    ----------
    path : `NAME.ecgfl.origin.json`, which need not be there.
    labels : the predicted beats.
    model : the version that predicted them.
    """
    made = {"model": model, "labels_sha256": digest(labels)}
    listed = [*(each for each in _predictions(path) if each != made), made][-_MOST:]
    return f"{json.dumps({'schema': SCHEMA, 'predictions': listed})}\n"


def digest(labels: Sequence[BeatLabel]) -> str:
    """SHA-256 of the beats as "SAMPLE SYMBOL" lines."""
    return sha256("".join(f"{label.sample} {label.symbol}\n" for label in labels).encode()).hexdigest()


def is_prediction(path: Path, stem: Path) -> bool:
    """Whether a label file has the name that `predict` gives it; "stem" is the recording's path without its suffix."""
    name = path.name.casefold()
    ours = f"{stem.name}.{ANNOTATOR}".casefold()
    return name in {ours, f"{ours}.csv", f"{ours}.edf"}


def origin_of(path: Path, stem: Path, labels: Sequence[BeatLabel]) -> Origin:
    """Who made the labels of a file. A prediction without a readable origin file counts as the machine's.

    Parameters
    ----------
    path : the label file.
    stem : the recording's path without its suffix.
    labels : of the file, as samples of the recording.
    """
    if not is_prediction(path, stem):
        return "reference"
    predicted = {each["labels_sha256"] for each in _predictions(companion(path, f"{stem.name}{ORIGIN_SUFFIX}"))}
    return "machine" if not predicted or digest(labels) in predicted else "reviewer"


def _predictions(path: Path) -> list[dict[str, str]]:
    """Return the predictions in an origin file; none if it is missing or damaged, so that no correction is assumed."""
    try:
        if path.stat().st_size > _LARGEST:
            return []
        content = json.loads(path.read_bytes())
        if content["schema"] != SCHEMA:
            return []
        return [{name: str(each[name]) for name in ("model", "labels_sha256")} for each in content["predictions"]]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return []
