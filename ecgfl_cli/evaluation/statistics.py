"""Compute the statistics of a comparison from its counts.

Every function takes counts of shape (..., 7, 7) (rows: reference, columns: test, both in the order
of `annotations.LABELS`) and the evaluated seconds, shape (...). It returns shape (...), with NaN if
the figure is undefined. Which cells count is as in EC57 and PhysioNet's bxb: a fusion or
unclassifiable beat called V is neither right nor wrong.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
Seconds = NDArray[np.float64]
Statistic = Callable[[Counts, Seconds], NDArray[np.float64]]

_BEATS = slice(0, 5)
_NONE = slice(5, 7)
_V = 2
_WRONGLY_V = [0, 1, 5, 6]


def qrs_tp(counts: Counts) -> Counts:
    """Return the number of detected reference beats, whatever their class."""
    return np.asarray(counts[..., _BEATS, _BEATS].sum((-2, -1)))


def qrs_fn(counts: Counts) -> Counts:
    """Return the number of missed reference beats."""
    return np.asarray(counts[..., _BEATS, _NONE].sum((-2, -1)))


def qrs_fp(counts: Counts) -> Counts:
    """Return the number of detections without a reference beat."""
    return np.asarray(counts[..., _NONE, _BEATS].sum((-2, -1)))


def veb_tp(counts: Counts) -> Counts:
    """Return Vv."""
    return np.asarray(counts[..., _V, _V])


def veb_fn(counts: Counts) -> Counts:
    """Return Vn + Vs + Vf + Vq + Vo + Vx."""
    return np.asarray(counts[..., _V, :].sum(-1) - counts[..., _V, _V])


def veb_fp(counts: Counts) -> Counts:
    """Return Nv + Sv + Ov + Xv; Fv and Qv are left out."""
    return np.asarray(counts[..., _WRONGLY_V, _V].sum(-1))


def veb_tn(counts: Counts) -> Counts:
    """Return the number of detected beats that are not V in either list."""
    called = counts[..., :, _BEATS].sum((-2, -1)) - counts[..., _V, _BEATS].sum(-1)
    return np.asarray(called - (counts[..., :, _V].sum(-1) - counts[..., _V, _V]))


def _ratio(part: NDArray[np.number], whole: NDArray[np.number]) -> NDArray[np.float64]:
    part, whole = np.asarray(part, dtype=np.float64), np.asarray(whole, dtype=np.float64)
    ratio = np.full(np.broadcast(part, whole).shape, np.nan)
    np.divide(part, whole, out=ratio, where=whole > 0)
    return ratio


def qrs_sensitivity(counts: Counts, _seconds: Seconds) -> NDArray[np.float64]:
    """Return the share of the reference beats that were detected."""
    return _ratio(qrs_tp(counts), qrs_tp(counts) + qrs_fn(counts))


def qrs_positive_predictivity(counts: Counts, _seconds: Seconds) -> NDArray[np.float64]:
    """Return the share of the detections that are reference beats."""
    return _ratio(qrs_tp(counts), qrs_tp(counts) + qrs_fp(counts))


def qrs_f1(counts: Counts, _seconds: Seconds) -> NDArray[np.float64]:
    """Harmonic mean of sensitivity and positive predictivity."""
    return _ratio(2 * qrs_tp(counts), 2 * qrs_tp(counts) + qrs_fn(counts) + qrs_fp(counts))


def veb_sensitivity(counts: Counts, _seconds: Seconds) -> NDArray[np.float64]:
    """Return the share of the VEB that were classified as V."""
    return _ratio(veb_tp(counts), veb_tp(counts) + veb_fn(counts))


def veb_ppv(counts: Counts, _seconds: Seconds) -> NDArray[np.float64]:
    """Positive predictivity (+P) of VEB detection."""
    return _ratio(veb_tp(counts), veb_tp(counts) + veb_fp(counts))


def veb_f1(counts: Counts, _seconds: Seconds) -> NDArray[np.float64]:
    """Harmonic mean of sensitivity and positive predictivity."""
    return _ratio(2 * veb_tp(counts), 2 * veb_tp(counts) + veb_fn(counts) + veb_fp(counts))


def veb_false_positive_rate(counts: Counts, _seconds: Seconds) -> NDArray[np.float64]:
    """Return the share of false positives in all that is not V, as bxb prints it."""
    return _ratio(veb_fp(counts), veb_fp(counts) + veb_tn(counts))


def veb_false_positives_per_hour(counts: Counts, seconds: Seconds) -> NDArray[np.float64]:
    """Return the false positives per hour."""
    return _ratio(3600.0 * veb_fp(counts), seconds)
