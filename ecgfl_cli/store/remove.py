"""Taking a recording out of the store."""

from ecgfl_cli.site.home import Home
from ecgfl_cli.store.beat_files import remove_beats
from ecgfl_cli.store.catalogue import Catalogue
from ecgfl_cli.store.signals import remove_signals


def remove_record(home: Home, catalogue: Catalogue, record: str) -> None:
    """Remove what was derived first and the catalogue's row last: a kill in between leaves a row that can be removed again."""
    remove_beats(home.beats, record)
    remove_signals(home.records, record)
    catalogue.remove(record)
