"""Classifies channels by name and unit: an ECG, possibly an ECG, or something else."""

import re
import unicodedata
from collections.abc import Sequence
from enum import Enum
from fnmatch import fnmatchcase

from ecgfl_adapters.units import factor_to_mv


class ChannelKind(Enum):
    """What the name of a channel says.

    Attributes
    ----------
    ECG
        Named an ECG ("ECG", "EKG II", "Elektrokardiogramm", or a pattern of the site).
    LEAD
        A lead name that nothing else has ("II", "aVR", "MLII", "Lead V").
    MAYBE
        A lead name that depth electrodes have as well ("D1", "V1", "CM5").
    UNKNOWN
        A name that says nothing ("Channel 1").
    ELECTRIC
        Another biopotential, in volts like an ECG (EEG, EMG, EOG, depth electrodes).
    OTHER
        Another signal (respiration, pressure, PPG, acceleration).
    DERIVED
        Computed from an ECG, or not a signal (heart rate, R-peak marks, quality, impedance,
        counters, triggers).
    """

    ECG = "ecg"
    LEAD = "lead"
    MAYBE = "maybe"
    UNKNOWN = "unknown"
    ELECTRIC = "electric"
    OTHER = "other"
    DERIVED = "derived"


_ECG = re.compile(
    r"(?<![a-z])(?:ecg|ekg)|ele[ckt]{0,2}tro[ck]ardio|сердц|экг|екг|кардиограм|ηκγ|καρδιογραφ"
    r"|心电|心電|심전|تخطيط القلب"
)
_ROMAN = r"(?:iii|ii|i)"
_STRONG = rf"d?\s?{_ROMAN}|-?av[rlf]|m(?:l|cl)(?:{_ROMAN}|[1-6])|v[xyz]|[ae]-[is]"
_WEAK = r"d[1-3]|m?v[1-9]?r?|mv[1-9]r?|c[cms][1-6]2?"
_PREFIX = (
    r"(?:modified|mod\.?)?[\s_-]*"
    r"(?:lead|ableitung|mod\.?|derivation|derivacion|derivazione|derivacao|afleiding)[\s_-]*"
)
_LIMBS = r"(?:[rl]a|[rl]l)\s?[-/_:]\s?(?:[rl]a|[rl]l)"
"""Electrodes of the arms and legs in a pair."""
_LEAD = re.compile(rf"(?:{_STRONG})(?:\s?[-/]\s?(?:{_STRONG}))?|{_LIMBS}|frank\s?[xyz]")
_PREFIXED_LEAD = re.compile(
    rf"{_PREFIX}(?:{_STRONG}|{_WEAK}|\d{{1,2}})|(?:{_STRONG}|{_WEAK})[\s_-]?(?:lead|ableitung)"
)
_MAYBE = re.compile(rf"(?:{_WEAK})(?:\s?[-/]\s?(?:{_WEAK}))?")

_POSITION = (
    r"(?:fp[12z]|fpz|[afctpo]z|f\d{1,2}|c[1-6]|[tp]\d{1,2}|o[12]"
    r"|(?:af|fc|ft|cp|tp|po)(?:\d{1,2}|z))"
)
"""Electrodes of the 10-20 and 10-10 systems."""
_REFERENCE = r"(?:[am][12]|ref|avg|av|le|car|e[12])"
_EEG = re.compile(
    rf"{_POSITION}(?:\s?[-:/_]?\s?(?:{_POSITION}|{_REFERENCE}))?|(?:{_REFERENCE})\s?[-:/]\s?{_REFERENCE}|e[12]"
)
_DEPTH = re.compile(r"([a-z])'?(\d{1,2})")

_ELECTRIC_WORDS = (
    r"eeg|seeg|ieeg|ecog|lfp|dbs|emg|semg|eog|[hvlr]eog|loc|roc|[lr]?chin|lat|rat|[lr]?leg|[lr]?tib\w*|plm\w*|masseter|mentalis"
    r"|submental|deltoid|bein|kinn|pol"
)
_OTHER_WORDS = (
    r"res?p\w*|rsp|atmung|atem|breath\w*|ab|abd|abdo|abdom\w*|chest|brust|brustkorb|bauch|tho|thx|thor\w*|torax|vth|vab|rip|ripsum|x?sum|x?flow"
    r"|belt|effort|effo\w*|\w*flow|fluss|nasal\w*|naf\w*|oral|oronasal|therm\w*|cannula|canula|[bc]?pap|snor\w*|schnarch\w*|mic|sound"
    r"|audio|pneumo\w*|co2|etco2|capno\w*|pressure|druck|press"
    r"|abp|art|ibp|p\d|bp|nbp|nibp|cvp|icp|pleth\w*|ppg|spo2|sao2|sauerstoff\w*|osat|sat|oxi\w*|pulse\w*|puls|ir|red|green|infrared|bvp|icg|bcg|scg"
    r"|pcg|phono\w*|dz|z0|eda|gsr|scr|scl"
    r"|acc|accel\w*|beschl\w*|[ag][xyz]|gyr|gyro\w*|mag|magn\w*|temp|temper\w*|skt|humid\w*|pos|position|lage|body|light|lux|gps|lon"
    r"|speed|activity|actig\w*|motion|movement|tremor|vt|tidal\w*|vbat|steps|batt\w*|akku|voltage.?battery|toco|fhr"
)
_DERIVED_WORDS = (
    r"h?rate|heartrate|hr|hrv|bpm|hf|herzfreq\w*|pulsfreq\w*|freq\w*|rr|rri|nn|ibi|prs?|qtc?|st|qrs|pvc|pvcs|ves"
    r"|peaks?|r?peaks?|[pqrst]?peaks?|onsets?|offsets?|phase\w*|quality|qual|sqi|snr|imp|impe\w*|impedanz|amplitudes?|template"
    r"|marks?|marker\w*|beats?|trig|trigger\w*|events?|labels?|annotations?|annot\w*|ann|class|classes|symbols?|detect\w*|status|state|flags?|valid"
    r"|mask|artefact\w*|artifact\w*|lead.?offs?|off|loff\w*|lod|lo|electrode|elektrode|contact|pace|pacer|pacing|pacemaker|trend|edr"
    r"|counter|count|zaehler|zahler|packet\w*|paket\w*|seq|sequence|nseq|frame|index|idx|samples?|checksum|crc"
    r"|time|zeit|timestamp|unix\w*|integrat\w*|squared|envelope|deriv|derivative|diff|mwi|energy|power|threshold|gain"
    r"|ptt\w*|pat|pwv|sti|sync|rssi|sigstr|entropy|mean|average|avg|var|std|baseline|wander|completion"
)
_PROCESSED_WORDS = (
    r"clean\w*|filt|filter\w*|gefiltert|filtr\w*|denois\w*|detrend\w*|smooth\w*|geglattet|bandpass\w*|highpass\w*|lowpass\w*|notch\w*"
    r"|proc|processed|preproc\w*|preprocessed|normali[sz]\w*|norm|corrected|bereinigt|reconstr\w*"
)


_ELECTRIC, _OTHER, _DERIVED, _PROCESSED = map(
    re.compile, (_ELECTRIC_WORDS, _OTHER_WORDS, _DERIVED_WORDS, _PROCESSED_WORDS)
)
"""Each pattern matches whole words."""
_OTHER_UNITS = {
    "bpm", "b/min", "beats/min", "/min", "1/min", "rpm", "brpm", "hz", "%", "mmhg", "cmh2o",
    "cmh20", "hpa", "kpa", "pa", "mbar",
    "bar", "ohm", "ohms", "kohm", "mohm", "ω", "kω", "mω", "g", "mg", "m/s2", "m/s^2", "m/s²",
    "dps", "°/s", "deg/s", "rad/s",
    "rad", "degc", "°c", "celsius", "degf", "°f", "l/min", "lpm", "l/s", "ml", "ml/s", "s", "sec",
    "ms", "us", "μs", "µs",
    "usiemens", "db", "lux", "ut", "gauss", "km/h",
}  # fmt: skip


def kinds_of(names: Sequence[str], patterns: Sequence[str] = ()) -> list[ChannelKind]:
    """Return the kind of each channel of a file, from its name and the names of the others.

    Depth electrodes have a letter and a number from 1. Therefore "D1" or "V1" is a depth electrode
    if the file also has "D4" or electrodes with other letters.

    Parameters
    ----------
    names : sequence of str
        Names of the channels in the file.
    patterns : sequence of str
        Shell patterns of further names of an ECG; see `ReadOptions.ecg_channels`.
    """
    kinds = [kind_of_name(name, patterns) for name in names]
    plain = [_plain(name) for name in names]
    if _has_depth_electrodes(plain):
        kinds = [
            ChannelKind.ELECTRIC
            if kind is ChannelKind.MAYBE or (kind is ChannelKind.UNKNOWN and _DEPTH.fullmatch(name))
            else kind
            for kind, name in zip(kinds, plain, strict=True)
        ]
    beside = {tuple(_words(name)) for name in names}
    for place, name in enumerate(
        names
    ):  # "ECG Z" is an impedance, but the third of Frank's leads beside X and Y
        words = _words(name)
        if (
            kinds[place] is ChannelKind.ECG
            and words[-1:] == ["z"]
            and (*words[:-1], "x") not in beside
        ):
            kinds[place] = ChannelKind.DERIVED
    return kinds


def kind_of_name(name: str, patterns: Sequence[str] = ()) -> ChannelKind:
    """Return what the name of a channel says; see `kinds_of` for several channels."""
    if any(fnmatchcase(name.lower(), pattern.lower()) for pattern in patterns):
        return ChannelKind.ECG
    plain = _plain(name)
    words = _words(name)
    if _ECG.search(plain):
        signals = [word for word in words if word not in _BESIDE_ECG]
        return (
            ChannelKind.DERIVED
            if any(_DERIVED.fullmatch(word) or _OTHER.fullmatch(word) for word in signals)
            else ChannelKind.ECG
        )
    bare = _without_processing(plain)
    if _LEAD.fullmatch(bare) or _PREFIXED_LEAD.fullmatch(bare):
        return ChannelKind.LEAD
    if _MAYBE.fullmatch(bare):
        return ChannelKind.MAYBE
    if any(_DERIVED.fullmatch(word) for word in words):
        return ChannelKind.DERIVED
    if any(_ELECTRIC.fullmatch(word) for word in words) or _EEG.fullmatch(plain):
        return ChannelKind.ELECTRIC
    return (
        ChannelKind.OTHER if any(_OTHER.fullmatch(word) for word in words) else ChannelKind.UNKNOWN
    )


_BESIDE_ECG = {"chest", "brust", "body", "abdomen", "electrode", "elektrode", "sample", "samples"}
"""Words that say where an ECG is taken, and mean another signal only without "ECG"."""


def is_ecg(name: str, patterns: Sequence[str] = ()) -> bool:
    """Return whether a channel name is that of an ECG lead, such as "MLII", "V5" or "ECG LA-RA"."""
    return kind_of_name(name, patterns) in (ChannelKind.ECG, ChannelKind.LEAD, ChannelKind.MAYBE)


def is_processed(name: str) -> bool:
    """Return whether a channel is a filtered copy of another one, such as "ECG_Clean"."""
    return any(_PROCESSED.fullmatch(word) for word in _words(name))


def is_other_unit(unit: str) -> bool:
    """Return whether a unit is known and not a voltage ("bpm", "mmHg", "%", "Ohm", "g").

    A channel with such a unit is not an ECG.
    """
    return (
        re.sub(r"\s", "", unit).lower().strip("()[]") in _OTHER_UNITS and factor_to_mv(unit) is None
    )


def _plain(name: str) -> str:
    """Return a name in lower case, without accents and with single blanks."""
    bare = "".join(
        char for char in unicodedata.normalize("NFKD", name) if not unicodedata.combining(char)
    )
    return " ".join(bare.lower().split())


def _words(name: str) -> list[str]:
    """Return the words of a name, with and without a number at their end.

    Words may be joined, as in "ECGImped", "EKG_HRate" and "rPeaks".
    """
    bare = "".join(
        char for char in unicodedata.normalize("NFKD", name) if not unicodedata.combining(char)
    )
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", re.sub(r"(?i)(ecg|ekg)", r" \1 ", bare))
    words: dict[str, None] = {}
    for text in (spaced, bare):
        for word in re.findall(r"[^\W_]+", text.lower()):
            words[word] = None
            if (letters := word.rstrip("0123456789")) and len(letters) > 1:
                words[letters] = None
    return list(words)


def _without_processing(plain: str) -> str:
    words = [
        word
        for word in re.split(r"[\s_]+", plain)
        if not _PROCESSED.fullmatch(word) and word not in {"raw", "roh", "brut"}
    ]
    return " ".join(words)


def _has_depth_electrodes(plain: Sequence[str]) -> bool:
    numbers: dict[str, set[int]] = {}
    for name in plain:
        if (match := _DEPTH.fullmatch(name)) is not None:
            numbers.setdefault(match[1], set()).add(int(match[2]))
    beyond = any(max(numbers.get(letter, {0})) > last for letter, last in (("d", 3), ("v", 9)))
    rows = [
        letter
        for letter, electrodes in numbers.items()
        if letter not in "dv" and len(electrodes) > 2
    ]
    return beyond or len(rows) > 1
