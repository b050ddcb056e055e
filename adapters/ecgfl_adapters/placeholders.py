"""Recognises placeholders for a patient's identifier or name."""

import re
import unicodedata

_WORDS = frozenset(
    """
    anon anonym anonymous anonymus anonymised anonymized anonymisiert anonyme anonymise
    anonymisee anonimo anonima anonimizado anonimizzato anonymizovano anoniem geanonimiseerd
    anonymiserad anonymiseret deidentified identified deid redacted removed deleted masked
    hidden private confidential withheld unknown unk unbekannt nichtbekannt inconnu inconnue
    desconocido desconocida desconhecido desconhecida sconosciuto sconosciuta onbekend ukendt
    ukjent okand tuntematon neznamy nieznany unnamed noname nameless none null nil na nan nn
    nomen nescio blank empty unspecified undefined undef unassigned notset available specified
    recorded given applicable entered keine kein sin sans test tests tester testing testpatient
    testperson dummy demo default example sample muster mustermann musterfrau temp tmp tbd
    patient patients patientin paciente paziente pacjent pacient patienten subject subjects
    proband probandin participant person guest user admin operator emergency notfall urgence
    urgencia name names vorname nachname firstname lastname surname given family prenom nom
    nombre apellido nome cognome naam id ids pid mrn identifier nummer number no not nr num data
    de the a new neu neuer neue nouveau nuevo m f x u o male female man woman mann frau homme
    femme hombre mujer maennlich weiblich other
    """.split()  # noqa: SIM905 - a list of 200 strings is hard to read
)
"""Words in lower case without accents: anonymous, removed, unknown, empty; defaults of recorders;
names of the field itself; sexes.
"""

_PHRASES = frozenset(
    {"john doe", "doe john", "jane doe", "doe jane", "max mustermann", "erika mustermann"}
)
_OTHER_SCRIPTS = frozenset(
    {
        "匿名",
        "未知",
        "不明",
        "患者",
        "无名",
        "無名",
        "неизвестно",
        "неизвестный",
        "аноним",
        "пациент",
        "тест",
    }
)
_SEX = frozenset({"m", "f", "male", "female", "man", "woman", "mann", "frau", "homme", "femme"})
_DATE = re.compile(r"\d{1,4}([-./])(?:\d{1,2}|[a-z]{3,9})\1\d{1,4}")
_NO_NAME = re.compile(r"\bn\W{1,2}[na]\b")
"""Abbreviations such as N.N. and n/a."""
_OLDEST = 120
"""Largest number beside a sex that is an age in years."""


def is_placeholder(text: str) -> bool:
    """Return whether a text identifies nobody, such as "X X X", "N.N." or "0000".

    A date, a sex and an age also identify nobody. Case, accents and punctuation do not matter. A
    number after such a word identifies somebody ("Patient 12"), unless it may be an age ("anonymous
    M 65").
    """
    folded = unicodedata.normalize("NFKD", text).casefold()
    if folded.strip() in _OTHER_SCRIPTS or text.strip() in _OTHER_SCRIPTS:
        return True
    plain = "".join(character for character in folded if not unicodedata.combining(character))
    plain = _NO_NAME.sub(" ", _DATE.sub(" ", plain))
    words = re.findall(r"[^\W_]+", plain)
    if " ".join(words) in _PHRASES:
        return True
    ages = any(word in _SEX for word in words)
    return all(_says_nothing(word, may_be_age=ages) for word in words)


def _says_nothing(word: str, *, may_be_age: bool) -> bool:
    if word in _WORDS or re.fullmatch(r"x+|0+|9{4,}", word):
        return True
    return may_be_age and word.isdecimal() and len(word) <= 3 and int(word) <= _OLDEST
