"""The units of time, and the words for "time" in the titles of columns."""

import re
from typing import NamedTuple

_FORMS: dict[float, str] = {
    86400.0: "day days tag tage jour jours día días giorno giorni dagen",
    3600.0: "h hr hrs hour hours std stunde stunden heures horas ore uur uren timmar godz godzina "
    "godziny ч час часы",
    60.0: "min mins minute minutes minuten minuto minutos minuti minut minuta minuty minuter "
    "minuut мин минуты 分 分钟 分鐘",
    1.0: "s sec secs second seconds sek sekunde sekunden seconde secondes segundo segundos secondo "
    "secondi sekund sekunda "
    "sekundy sekunder seconden с сек секунды 秒",
    1e-3: "ms msec msecs msek millis millisec millisecs millisecond milliseconds millisekunde "
    "millisekunden milliseconde "
    "millisecondes milisegundo milisegundos millisecondi milisekunda milisekundy milliseconden мс "
    "毫秒",
    1e-6: "us usec usecs micros microsec microsecond microseconds mikrosekunden microsecondes "
    "microsegundos "
    "microsecondi мкс 微秒",
    1e-9: "ns nsec nanos nanosec nanosecond nanoseconds nanosekunden nanosecondes nanosegundos",
}
SECONDS_PER = {form: seconds for seconds, forms in _FORMS.items() for form in forms.split()}
"""Seconds in one unit, by its spellings in the languages of the files that are met."""

_TIME_FORMS = (
    "time times t timestamp timestamps elapsed clock datetime zeit uhrzeit zeitstempel zeitpunkt "
    "temps heure horodatage tiempo "
    "hora tempo ora tijd tijdstip tid aika czas čas vreme idő zaman süre waktu время "
    "χρόνος 时间 時間 "
    "时刻 시간 زمن"
)
_TIME_WORDS = set(_TIME_FORMS.split())
_NEVER_ALONE = {"h", "hr", "hrs", "std", "day", "tag", "min", "mins", "ore", "с", "ч"}
"""Units that, as the whole title, may mean something else: a heart rate, a minimum, a standard
deviation.
"""

_MICRO = str.maketrans({"\u00b5": "u", "\u03bc": "u"})
_WORD = re.compile(r"[^\W\d_]+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_TICK = re.compile(
    r"1\s*/\s*(?P<after>\d{1,9})\s*(?P<unit>[^\W\d_]+)|(?P<first>[^\W\d_]+)\s*/\s*(?P<before>\d{1,9})(?!\d)"
)
_CLOCK_FORM = re.compile(r"\W*(?:h+:)?m+:s+(?:[.,:]\w+)?\W*")


class TimeTitle(NamedTuple):
    """The unit of time in the title of a column.

    Parameters
    ----------
    seconds : float, optional
        Length of the unit; None if the title states none.
    sure : bool
        Whether the title begins with a word for time; "QT time" and "min" may mean something else.
    """

    seconds: float | None
    sure: bool


def time_title(title: str, *, first: bool = True) -> TimeTitle | None:
    """Parse the title of a time column, such as "t_us_pico", "Time (ms)" or "time [s/256]".

    Return None for the title of any other column.

    Parameters
    ----------
    title : str
        The title.
    first : bool
        Whether the column is the first of its table, in which a bare unit such as "min" is a time.
    """
    words = _words(title)
    if not words or re.match(r"\W*t\d", title.lower()):  # T3 and T7 are electrodes
        return None
    named = (
        words[0] in _TIME_WORDS
        or (len(words) > 1 and words[-1] in _TIME_WORDS - {"t"})
        or _ends_with_time(words)
    )
    bare = words[0] in SECONDS_PER and all(
        word in SECONDS_PER or word in _TIME_WORDS for word in words
    )
    if not named and not (bare and (first or words[0] not in _NEVER_ALONE)):
        return None
    return TimeTitle(seconds_in(title), words[0] in _TIME_WORDS)


def seconds_in(text: str) -> float | None:
    """Return the unit of time in a text in seconds: 60.0 for "Time (min)", 1 / 256 for "[s/256]".

    Return None if there is no unit.
    """
    if _CLOCK_FORM.fullmatch(text.lower()):
        return None
    tick = _TICK.search(text.lower().translate(_MICRO))
    if tick is not None:
        seconds = SECONDS_PER.get(tick["unit"] or tick["first"])
        parts = int(tick["after"] or tick["before"])
        if seconds is not None and parts:
            return seconds / parts
    return next((SECONDS_PER[word] for word in _words(text) if word in SECONDS_PER), None)


def is_time_unit(text: str) -> bool:
    """Return whether `text` is a unit of time, such as "seconds", "(ms)" or "hh:mm:ss.mmm"."""
    words = _words(text)
    return (bool(words) and all(word in SECONDS_PER for word in words)) or _CLOCK_FORM.fullmatch(
        text.lower()
    ) is not None


def _ends_with_time(words: list[str]) -> bool:
    """Return whether a word for time precedes the unit, as in "ECG time (s)"."""
    while len(words) > 1 and words[-1] in SECONDS_PER:
        words = words[:-1]
    return len(words) > 1 and words[-1] in _TIME_WORDS - {"t", "ora", "hora", "tid"}


def _words(text: str) -> list[str]:
    """Return the words of a text in lower case.

    "TimeStamp" and "elapsedTime" are two words each, "milliSec" is one.
    """
    words: list[str] = []
    for word in _WORD.findall(text.translate(_MICRO)):
        known = word.lower() in SECONDS_PER or word.lower() in _TIME_WORDS
        words += [word.lower()] if known else [part.lower() for part in _CAMEL.split(word)]
    return words
