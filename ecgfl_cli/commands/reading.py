"""How a command reads recordings: the command line's options over those of site.toml."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from ecgfl_adapters.discovery import record_stem
from ecgfl_adapters.errors import LabelsUnreadable
from ecgfl_adapters.label_folder import LabelFolder, label_folder
from ecgfl_adapters.labels import annotator_files
from ecgfl_adapters.protocol import ReadOptions
from ecgfl_adapters.tables.layout import TableOptions

from ecgfl_cli.commands.recordings import named_recordings
from ecgfl_cli.console import Console
from ecgfl_cli.errors import UsageError
from ecgfl_cli.quality.limits import limits_of
from ecgfl_cli.site.settings import Recordings, load_settings
from ecgfl_cli.store.reading import Reading


def recordings_and_reading(
    console: Console,
    paths: list[Path],
    file_format: str,
    lead: str | None,
    *,
    follow_links: bool,
    **options: Any,
) -> tuple[list[Path], Reading]:
    """Return the recordings that a command line names, and how to read them.

    Parameters
    ----------
    console
        Shows what is skipped.
    paths
        Files and folders of the command line.
    file_format, lead, follow_links
        From the command line.
    **options
        Further options of the command line, see `reading_of`.

    Raises
    ------
    UnusableInput
        There is no recording.
    UsageError
        --labels names one file for several recordings, or a setting of site.toml is not valid.
    """
    recordings = named_recordings(console, paths, follow_links=follow_links)
    reading = reading_of(
        console, file_format, lead, named=tuple(paths), follow_links=follow_links, **options
    )
    return recordings, _with_label_folder(console, reading, recordings, paths)


def reading_of(
    console: Console, file_format: str, lead: str | None, patient: str = "auto", **options: Any
) -> Reading:
    """Combine this home's site.toml, if there is one, with the command line.

    Parameters
    ----------
    console
        Knows the home.
    file_format, lead, patient
        From the command line.
    **options
        Fields of `ReadOptions` from the command line.

    Raises
    ------
    UsageError
        A setting of site.toml is not valid.
    """
    path = console.home.settings
    settings = load_settings(path) if path.is_file() else None
    recordings = settings.recordings if settings else Recordings()
    return Reading(
        file_format,
        ReadOptions(
            leads=(lead,) if lead else (),
            ecg_channels=tuple(recordings.ecg_channels),
            vocabulary=settings.vocabulary if settings else {},
            format_options=(
                *options.pop("format_options", ()),
                TableOptions(tuple(settings.csv) if settings else ()),
            ),
            **options,
        ),
        lead or recordings.lead,
        patient=patient,
        limits=limits_of(path, settings.limits if settings else {}),
        keep_age_band=recordings.keep_age_band,
        keep_sex=recordings.keep_sex,
    )


def _with_label_folder(
    console: Console, reading: Reading, recordings: list[Path], named: list[Path]
) -> Reading:
    """Return the reading with the folder of labels, if --labels names one."""
    labels = reading.options.labels
    if (
        labels is None
        or labels == "none"
        or any(annotator_files(record_stem(path), labels) for path in recordings)
    ):
        # An annotator's suffix has priority over a file or folder of this name in the working
        # folder.
        return reading
    if len(recordings) > 1 and Path(labels).is_file():
        raise UsageError(
            f"--labels {labels}: one file for {len(recordings)} recordings",
            "Name that file's recording alone, or give a folder of labels",
        )
    if not Path(labels).is_dir():
        return reading
    folder = label_folder(Path(labels), recordings, named)
    if not any(_has_labels(folder, path) for path in recordings):
        console.problem(
            f"--labels {labels}: the folder holds no labels of these recordings. Put NAME.ecgfl, "
            "NAME.ecgfl.csv, NAME.atr or "
            "NAME.labels.csv there, in subfolders like those of the named folder of recordings"
        )
    return replace(reading, labels_in=folder)


def _has_labels(folder: LabelFolder, recording: Path) -> bool:
    try:
        return bool(folder.files_of(recording))
    except LabelsUnreadable:
        return True  # reading the recording reports the error
