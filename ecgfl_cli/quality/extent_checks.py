"""Check the duration, the sampling rate and the gaps of a recording."""

from collections.abc import Iterator, Sequence

from ecgfl_adapters.recording import Gap, Recording

from ecgfl_cli.quality.findings import Finding, Severity
from ecgfl_cli.quality.limits import Limits


def check_extent(recording: Recording, gaps: Sequence[Gap], limits: Limits) -> Iterator[Finding]:
    """Yield the findings `too-short`, `low-sampling-rate` and `gaps`."""
    if recording.seconds < limits.min_seconds:
        yield Finding(
            "too-short",
            Severity.ERROR,
            f"the recording lasts {recording.seconds:.1f} s, at least {limits.min_seconds:g} s "
            "are needed",
            "Export a longer stretch; if the file does hold more, its sampling rate is wrong "
            "(--fs HZ if it states none).",
            value=recording.seconds,
            limit=limits.min_seconds,
        )
    if recording.fs < limits.min_fs:
        yield Finding(
            "low-sampling-rate",
            Severity.ERROR,
            f"the recording is sampled at {recording.fs:g} Hz, at least {limits.min_fs:g} Hz are "
            "needed to tell a wide QRS",
            "Export at the recorder's own rate; --fs HZ is for files that state none.",
            value=recording.fs,
            limit=limits.min_fs,
        )
    yield from _check_gaps(recording, gaps, limits)


def _check_gaps(recording: Recording, gaps: Sequence[Gap], limits: Limits) -> Iterator[Finding]:
    if not gaps or not recording.length:
        return
    seconds = sum(gap.stop - gap.start for gap in gaps) / recording.fs
    longest = max(gaps, key=lambda gap: gap.stop - gap.start)
    share = seconds / recording.seconds
    many = share > limits.gap_warn_share
    times = "1 gap" if len(gaps) == 1 else f"{len(gaps)} gaps"
    yield Finding(
        "gaps",
        Severity.WARNING if many else Severity.INFO,
        f"{times} without signal in any lead, {seconds:.1f} s together ({share:.1%} of the "
        "recording); "
        f"the longest from {longest.start / recording.fs:.1f} to "
        f"{longest.stop / recording.fs:.1f} s",
        "Look for a disconnected recorder or an incomplete export."
        if many
        else "Nothing to do: no beat is cut across a gap.",
        start_s=longest.start / recording.fs,
        stop_s=longest.stop / recording.fs,
        value=share,
        limit=limits.gap_warn_share,
    )
