"""Determines who made the labels of a recording.

Labels come from a reference, from a reviewer who corrected predictions, or from this program.
`predict` writes `NAME.ecgfl.origin.json` beside its results. It lists SHA-256 digests of the
predicted beats and of the files that contain them. A prediction file with other beats was
corrected, however it is formatted.
"""

import json
import re
from collections.abc import Iterable, Sequence
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Literal, NamedTuple, TypedDict

from ecgfl_adapters.bounded import read_bounded
from ecgfl_adapters.companions import companion, content_of, leads_out
from ecgfl_adapters.file_names import safe_name
from ecgfl_adapters.recording import BeatLabel, Remark

Origin = Literal["reference", "reviewer", "machine"]

ANNOTATOR = "ecgfl"
"""Annotator name that this program uses."""

ORIGIN_SUFFIX = f".{ANNOTATOR}.origin.json"
SCHEMA = "ecgfl.origin/1"
_MOST = 100
"""Maximum number of predictions in an origin file; the latest ones are kept."""

_LARGEST = 1 << 17
"""Maximum size of an origin file in bytes; a prediction takes about 400."""

_OF_PREDICT = re.compile(rf"(.+)\.{ANNOTATOR}(?![^\W_]).*", re.IGNORECASE | re.DOTALL)
"""NAME.ecgfl, NAME.ecgfl.csv, and what copies of them are called: "NAME.ecgfl (1).csv",
"NAME.ecgfl_corrected.csv".
"""

MACHINE_LABELS = Remark(
    "labels-by-machine",
    "the labels are this program's own prediction, and nothing shows that a person corrected them; "
    "they are left out",
    "Correct NAME.ecgfl or NAME.ecgfl.csv and read it again with --labels ecgfl. A person who has "
    "checked every beat and found "
    "nothing to correct saves them as NAME.labels.csv, which is read with --labels labels.",
)


class _Prediction(TypedDict):
    model: str
    labels_sha256: str
    files_sha256: list[str]
    recording_sha256: list[str]


class Listed(NamedTuple):
    """What an origin file lists.

    Parameters
    ----------
    labels, files : frozenset of str
        SHA-256 digests of predicted beats and of written files.
    recording : frozenset of str
        Digests of the path and the signal of the recording that was predicted last.
    """

    labels: frozenset[str]
    files: frozenset[str]
    recording: frozenset[str]


def file_name(recording: str) -> str:
    """Return what the files of a prediction are called, without their suffixes."""
    return safe_name(recording)


def origin_text(
    path: Path,
    labels: Sequence[BeatLabel],
    files: Iterable[bytes],
    model: str,
    recording: Sequence[str] = (),
) -> str:
    """Return the new content of an origin file: the predictions that it lists, and a new one.

    Every prediction stays listed, because an older one may still exist in another format.

    Parameters
    ----------
    path : Path
        `NAME.ecgfl.origin.json`, which need not exist.
    labels : sequence of BeatLabel
        The predicted beats.
    files : iterable of bytes
        Content of each file that is written.
    model : str
        Version of the model.
    recording : sequence of str
        Digests of the path and the signal of the recording.
    """
    made: _Prediction = {
        "model": model,
        "labels_sha256": digest(labels),
        "files_sha256": sorted(sha256(content).hexdigest() for content in files),
        "recording_sha256": list(recording),
    }
    listed = [*(prediction for prediction in _predictions(path) if prediction != made), made][
        -_MOST:
    ]
    return f"{json.dumps({'schema': SCHEMA, 'predictions': listed})}\n"


def listed_in(path: Path) -> Listed:
    """Return what an origin file lists: nothing where the file is missing or damaged."""
    predictions = _predictions(path)
    return Listed(
        frozenset(prediction["labels_sha256"] for prediction in predictions),
        frozenset(name for prediction in predictions for name in prediction["files_sha256"]),
        frozenset(predictions[-1]["recording_sha256"] if predictions else ()),
    )


def digest(labels: Sequence[BeatLabel]) -> str:
    """Return the SHA-256 of the beats as "SAMPLE SYMBOL" lines."""
    return sha256(
        "".join(f"{label.sample} {label.symbol}\n" for label in labels).encode()
    ).hexdigest()


def is_prediction(path: Path) -> bool:
    """Return whether a label file has the name of a prediction, or of a copy of one."""
    return _OF_PREDICT.fullmatch(path.name) is not None


def origin_of(path: Path, labels: Sequence[BeatLabel]) -> Origin:
    """Return who made the labels of a file.

    A prediction without a readable origin file counts as the machine's.

    Parameters
    ----------
    path : Path
        The label file.
    labels : sequence of BeatLabel
        Its labels, as samples of the recording.
    """
    name = _OF_PREDICT.fullmatch(path.name)
    if name is None:
        return "reference"
    listed = listed_in(companion(path, f"{name[1]}{ORIGIN_SUFFIX}"))
    # An untouched file is recognised by its content, too: read at another rate (--fs), its beats
    # have other samples.
    with content_of(path).open("rb") as file:
        is_untouched = (
            digest(labels) in listed.labels
            or file_digest(file, "sha256").hexdigest() in listed.files
        )
    return "machine" if is_untouched or not listed.labels else "reviewer"


def _predictions(path: Path) -> list[_Prediction]:
    """Return the predictions in an origin file.

    None if it is missing or damaged, so that no correction is assumed.
    """
    try:
        if leads_out(path):
            return []
        content = json.loads(read_bounded(path, _LARGEST))
        if content["schema"] != SCHEMA:
            return []
        return [
            {
                "model": str(prediction["model"]),
                "labels_sha256": str(prediction["labels_sha256"]),
                "files_sha256": [str(name) for name in prediction.get("files_sha256", ())],
                "recording_sha256": [str(name) for name in prediction.get("recording_sha256", ())],
            }
            for prediction in content["predictions"]
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return []
