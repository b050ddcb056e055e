"""Check whether the shares of the labelled classes are plausible."""

from collections import Counter
from collections.abc import Iterator

from ecgfl_adapters.recording import Recording

from ecgfl_cli.beats.aami import BeatClass, classify
from ecgfl_cli.quality.findings import Finding, Severity
from ecgfl_cli.quality.limits import Limits

PACED = "/"


def is_paced(recording: Recording, limits: Limits) -> bool:
    """Whether more than a few of the labelled beats are paced."""
    return _paced_share(_beat_symbols(recording)) > limits.paced_warn_share


def check_label_shares(recording: Recording, limits: Limits) -> Iterator[Finding]:
    """Yield the findings `paced-rhythm` and `implausible-pvc-share`.

    Pacing is detected from the labels alone. In mitdb's four paced records (360 Hz, 100 Hz
    low-pass filter) no stimulus is a spike as `quality.spikes` defines it.
    """
    symbols = _beat_symbols(recording)
    beats = symbols.total()
    paced = _paced_share(symbols)
    if paced > limits.paced_warn_share:
        yield Finding(
            "paced-rhythm",
            Severity.WARNING,
            f"{paced:.1%} of the {beats} beat labels are paced beats ('/'), expected at most "
            f"{limits.paced_warn_share:.1%}; "
            "ANSI/AAMI EC57 leaves such recordings out of every figure",
            "Nothing is learned from paced beats. Leave this patient's recordings out of "
            "`evaluate`; "
            "`ecgfl dataset remove RECORD` takes one out of the store.",
            value=paced,
            limit=limits.paced_warn_share,
        )
    ventricular = sum(count for symbol, count in symbols.items() if classify(symbol) is BeatClass.V)
    share = ventricular / beats if beats else 0.0
    if share > limits.pvc_warn_share:
        yield Finding(
            "implausible-pvc-share",
            Severity.WARNING,
            f"{share:.1%} of the {beats} beat labels are PVCs, expected at most "
            f"{limits.pvc_warn_share:.0%}",
            "Check what the labels' words mean ([vocabulary] in site.toml; are N and V "
            "exchanged?). An incessant ventricular "
            "tachycardia is the exception.",
            value=share,
            limit=limits.pvc_warn_share,
        )


def _beat_symbols(recording: Recording) -> Counter[str]:
    return Counter(
        label.symbol for label in recording.labels or () if classify(label.symbol) is not None
    )


def _paced_share(symbols: Counter[str]) -> float:
    return symbols[PACED] / symbols.total() if symbols else 0.0
