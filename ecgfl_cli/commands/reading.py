"""How recordings are read and judged: the command line's options over those of site.toml."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ecgfl_cli.console import Console

if TYPE_CHECKING:
    from ecgfl_adapters.protocol import ReadOptions

    from ecgfl_cli.quality.limits import Limits


@dataclass(frozen=True)
class Reading:
    """options : for the adapters. lead : the lead to work with, None for the usual one. limits : for the checks."""

    options: "ReadOptions"
    lead: str | None
    limits: "Limits"


def reading_of(console: Console, lead: str | None, **options: Any) -> Reading:
    """What this home's site.toml says where there is one, and what was given by hand. Raises `UsageError`.

    lead : that of the command line. options : fields of `ReadOptions` from the command line.
    """
    from ecgfl_adapters.protocol import ReadOptions

    from ecgfl_cli.quality.limits import limits_of
    from ecgfl_cli.site.settings import Recordings, load_settings

    path = console.home.settings
    settings = load_settings(path) if path.is_file() else None
    recordings = settings.recordings if settings else Recordings()
    return Reading(
        ReadOptions(
            leads=(lead,) if lead else (),
            ecg_channels=tuple(recordings.ecg_channels),
            vocabulary=settings.vocabulary if settings else {},
            layouts=tuple(settings.csv) if settings else (),
            **options,
        ),
        lead or recordings.lead,
        limits_of(path, settings.limits if settings else {}),
    )
