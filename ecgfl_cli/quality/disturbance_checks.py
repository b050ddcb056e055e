"""Check how large the disturbances of a lead are compared with its ECG."""

from collections.abc import Iterator

from ecgfl_cli.quality.disturbances import Disturbances
from ecgfl_cli.quality.findings import Finding, Severity
from ecgfl_cli.quality.lead_measures import LeadMeasures
from ecgfl_cli.quality.limits import Limits
from ecgfl_cli.quality.parts import longest_of


def check_disturbances(lead: LeadMeasures, fs: float, limits: Limits) -> Iterator[Finding]:
    """Yield `baseline-wander`, `mains-hum`, `spikes` and `noise` for a usable lead."""
    disturbances = lead.disturbances
    if disturbances is None or lead.qrs_mv is None:
        return
    yield from _check_wander(lead, lead.qrs_mv, disturbances, fs, limits)
    yield from _check_hum(lead, disturbances, limits)
    yield from _check_spikes(lead, disturbances, limits)
    yield from _check_noise(lead, disturbances, fs, limits)


def _check_wander(
    lead: LeadMeasures, qrs_mv: float, disturbances: Disturbances, fs: float, limits: Limits
) -> Iterator[Finding]:
    wander = disturbances.wander
    limit = max(limits.wander_warn_mv, limits.wander_warn_qrs * qrs_mv)
    if wander is None or wander.mv <= limit:
        return
    start, stop = (edge / fs for edge in wander.worst)
    yield Finding(
        "baseline-wander",
        Severity.WARNING,
        f"the baseline of lead {lead.name} moves by more than {wander.mv:.2g} mV in "
        f"{limits.wander_block_s:g} s for "
        f"{limits.wander_share:.0%} of the time, most from {start:.1f} to {stop:.1f} s; expected "
        f"at most {limit:.2g} mV "
        f"(its QRS has {qrs_mv:.2g} mV)",
        "Check this lead's electrode: dry, loose or dragged by its cable. Another lead may be "
        "steadier (--lead NAME).",
        lead=lead.name,
        start_s=start,
        stop_s=stop,
        value=wander.mv,
        limit=limit,
    )


def _check_hum(lead: LeadMeasures, disturbances: Disturbances, limits: Limits) -> Iterator[Finding]:
    hum = disturbances.hum
    if hum is None or hum.amplitude_mv <= limits.hum_warn_mv:
        return
    yield Finding(
        "mains-hum",
        Severity.WARNING,
        f"lead {lead.name} carries {hum.hertz:g} Hz from the mains with an amplitude of "
        f"{hum.amplitude_mv:.3f} mV, "
        f"expected at most {limits.hum_warn_mv:g} mV",
        "Beats are read below 40 Hz, so the recording is used. Check the ground electrode and "
        "chargers or beds near the patient.",
        lead=lead.name,
        value=hum.amplitude_mv,
        limit=limits.hum_warn_mv,
    )


def _check_spikes(
    lead: LeadMeasures, disturbances: Disturbances, limits: Limits
) -> Iterator[Finding]:
    if disturbances.spikes_per_minute <= limits.spike_warn_per_minute:
        return
    yield Finding(
        "spikes",
        Severity.WARNING,
        f"lead {lead.name} has {disturbances.spikes_per_minute:.1f} spikes a minute that are "
        "narrower than "
        f"{limits.spike_width_s * 1000:g} ms and not ahead of a beat, expected at most "
        f"{limits.spike_warn_per_minute:g}",
        "Check the cable's contact and the recorder's memory or radio link; another lead may "
        "have none (--lead NAME).",
        lead=lead.name,
        value=disturbances.spikes_per_minute,
        limit=limits.spike_warn_per_minute,
    )


def _check_noise(
    lead: LeadMeasures, disturbances: Disturbances, fs: float, limits: Limits
) -> Iterator[Finding]:
    noise = disturbances.noise
    longest = None if noise is None else longest_of(noise.stretches)
    if noise is None or longest is None or noise.share <= limits.noise_warn_share:
        return
    start, stop = (edge / fs for edge in longest)
    yield Finding(
        "noise",
        Severity.WARNING,
        f"noise hides the beats of lead {lead.name} for {noise.share:.1%} of the recording, the "
        "longest stretch from "
        f"{start:.1f} to {stop:.1f} s; expected at most {limits.noise_warn_share:.1%}",
        "Look at that stretch: muscles or a moving electrode. Another lead may be quieter "
        "(--lead NAME).",
        lead=lead.name,
        start_s=start,
        stop_s=stop,
        value=noise.share,
        limit=limits.noise_warn_share,
    )
