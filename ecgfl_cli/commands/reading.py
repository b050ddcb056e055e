"""How a command reads recordings: the command line's options over those of site.toml."""

from typing import TYPE_CHECKING, Any

from ecgfl_cli.console import Console

if TYPE_CHECKING:
    from ecgfl_cli.store.reading import Reading


def reading_of(console: Console, file_format: str, lead: str | None, patient: str = "auto", **options: Any) -> "Reading":
    """Combine this home's site.toml, if there is one, with the command line. Raises `UsageError`.

    file_format, lead, patient : from the command line. options : fields of `ReadOptions` from the command line.
    """
    from ecgfl_adapters.protocol import ReadOptions

    from ecgfl_cli.quality.limits import limits_of
    from ecgfl_cli.site.settings import Recordings, load_settings
    from ecgfl_cli.store.reading import Reading

    path = console.home.settings
    settings = load_settings(path) if path.is_file() else None
    recordings = settings.recordings if settings else Recordings()
    return Reading(
        file_format,
        ReadOptions(
            leads=(lead,) if lead else (),
            ecg_channels=tuple(recordings.ecg_channels),
            vocabulary=settings.vocabulary if settings else {},
            layouts=tuple(settings.csv) if settings else (),
            **options,
        ),
        lead or recordings.lead,
        patient,
        limits_of(path, settings.limits if settings else {}),
        recordings.keep_age_band,
        recordings.keep_sex,
    )
