"""The vocabulary of beat labels: WFDB's annotation symbols, and words for them."""

from collections.abc import Iterable, Mapping

from ecgfl_adapters.recording import BeatLabel

BEAT_SYMBOLS = frozenset("NLRBAaJSVrFejnE/fQ?")
"""WFDB's symbols for beats."""

OTHER_SYMBOLS = frozenset("[!]x()ptu`'^|~+sT*D=\"@")
"""WFDB's symbols for rhythm changes, noise, waves, comments."""

_WORDS = {
    "normal": "N",
    "normal beat": "N",
    "nsvb": "N",
    "lbbb": "L",
    "rbbb": "R",
    "bbb": "B",
    "pac": "A",
    "apc": "A",
    "apb": "A",
    "sve": "S",
    "sves": "S",
    "sveb": "S",
    "svpb": "S",
    "svpc": "S",
    "pjc": "J",
    "pvc": "V",
    "pvb": "V",
    "ve": "V",
    "ves": "V",
    "veb": "V",
    "vpb": "V",
    "vpc": "V",
    "ventricular": "V",
    "ventricular ectopic": "V",
    "premature ventricular contraction": "V",
    "fusion": "F",
    "paced": "/",
    "paced beat": "/",
    "unclassified": "Q",
    "unclassifiable": "Q",
    "unknown": "Q",
}

_NOTES = frozenset(
    (
        "normal",
        "lbbb",
        "rbbb",
        "bbb",
        "ve",
        "ventricular",
        "fusion",
        "paced",
        "unclassified",
        "unclassifiable",
        "unknown",
    )
)
"""Words that also occur in notes about a whole recording or event."""


NO_WORDS: Mapping[str, str] = {}


def symbol_of(text: str, vocabulary: Mapping[str, str] = NO_WORDS) -> str | None:
    """Return the WFDB symbol for a text such as "V", "PVC" or "Normal"; None if there is none.

    Parameters
    ----------
    text : str
        A symbol or a word for one.
    vocabulary : mapping of str to str
        Words of the site, which take precedence over the built-in ones; see `ReadOptions`.
    """
    stripped = text.strip()
    folded = _folded(stripped)
    for word, symbol in vocabulary.items():
        if _folded(word) == folded:
            return symbol
    if stripped in BEAT_SYMBOLS or stripped in OTHER_SYMBOLS:
        return stripped
    return _WORDS.get(folded)


def is_sure(text: str, vocabulary: Mapping[str, str] = NO_WORDS) -> bool:
    """Return whether a text that `symbol_of` knows is used for beats only.

    Single letters are not: R, L and S are also sleep stages and body positions, and A is apnoea.
    Words in the vocabulary of the site are.
    """
    folded = _folded(text)
    return any(_folded(word) == folded for word in vocabulary) or (
        folded in _WORDS and folded not in _NOTES
    )


def _folded(text: str) -> str:
    return " ".join(text.lower().replace("_", " ").split())


def in_order(labels: Iterable[BeatLabel]) -> tuple[BeatLabel, ...]:
    """Return the labels ordered by sample; labels at the same sample keep their order."""
    return tuple(sorted(labels, key=lambda label: label.sample))
