"""How a verified model becomes the one that this site uses, or is kept as rejected: from the
coordinator or from a file.
"""

import math
from dataclasses import replace
from datetime import UTC, datetime

from ecgfl_cli.errors import ModelRejected, PolicyRefused, UsageError
from ecgfl_cli.models.architecture import architecture
from ecgfl_cli.models.manifest import LARGEST_LOSS, Manifest
from ecgfl_cli.models.registry import Registry
from ecgfl_cli.models.site_models import registry_of, site_registry
from ecgfl_cli.models.starter import starter_registry
from ecgfl_cli.site.audit import AuditLog
from ecgfl_cli.site.home import Home
from ecgfl_cli.site.policy import Policy
from ecgfl_cli.training.acceptance import ByPatient, Verdict, by_patient, judge, unopposed
from ecgfl_cli.training.dataset import HeldOut, load_held_out


def allow_model(manifest: Manifest, policy: Policy, registry: Registry) -> None:
    """Check a model before it is used.

    Raises `PolicyRefused` if the policy does not list its architecture, or if this site has a newer
    model. Raises `ModelRejected` if the model has expired and this site does not have it.
    """
    if manifest.architecture not in policy.architectures:
        raise PolicyRefused(
            f"model {manifest.version} is of architecture '{manifest.architecture}', not in {policy.architectures}",
            "Add it to policy.architectures in site.toml if this site agrees",
        )
    if manifest.version not in registry.versions() and not manifest.is_news(datetime.now(UTC)):
        when = (
            "has no expiry: an older ecgfl made it"
            if manifest.expires is None
            else f"expired on {manifest.expires[:10]}"
        )
        raise ModelRejected(
            f"model {manifest.version} {when}, and this site does not have it yet",
            "Ask the coordinator for a newer one; `ecgfl coordinator model rollback VERSION` publishes an old model again",
        )
    newest = max((entry.manifest.sequence for entry in registry.entries()), default=0)
    if manifest.sequence < newest:
        raise PolicyRefused(
            f"{manifest.version} is model number {manifest.sequence}, this site has number {newest}: an old one again",
            "Ask the coordinator whether it was restored from a backup; to use an old one again: `ecgfl model use VERSION`",
        )


def require_sane_loss(loss: float, manifest: Manifest) -> float:
    """Raises `ModelRejected` when the weights are numbers but useless ones. loss : on this site's
    beats.
    """
    if not math.isfinite(loss) or loss > LARGEST_LOSS:
        raise ModelRejected(
            f"model {manifest.version}: its loss on this site's beats is {loss}",
            "The run diverged; tell the coordinator",
        )
    return loss


def consider(
    home: Home, policy: Policy, manifest: Manifest, candidate: ByPatient, held_out: HeldOut
) -> Verdict:
    """Promote a model of the site's registry when it passes the acceptance test; write either
    outcome down. The current one again changes nothing.

    candidate : its figures on the patients of `held_out`.
    """
    registry, audit = site_registry(home), AuditLog(home.audit)
    if registry.current() == manifest.version:
        verdict = unopposed(
            candidate, policy.acceptance_margin, "it is the current model already", manifest.version
        )
        tested = (registry.entry(manifest.version).acceptance or {}).get("code") == "not-worse"
        return replace(verdict, code="not-worse") if tested else verdict
    verdict = _verdict(home, policy, candidate, held_out)
    event = "model-promoted" if verdict.accepted else "model-rejected"
    with audit.change(
        event,
        version=manifest.version,
        sha256=manifest.weights_sha256,
        acceptance=verdict.as_dict(),
    ):
        if verdict.accepted:
            registry.promote(manifest.version, as_best=verdict.is_best)
        registry.judged(
            manifest.version, verdict.as_dict()
        )  # last: if a kill prevents it, the model is tested again
    return verdict


def _verdict(home: Home, policy: Policy, candidate: ByPatient, held_out: HeldOut) -> Verdict:
    """Compare with the best model accepted so far on today's held-out patients, or with the current
    model if that is unusable.
    """
    margin, problem = policy.acceptance_margin, ""
    if not any(each.pvcs for each in candidate.values()):
        return unopposed(
            candidate, margin, "no PVCs of held-out patients to compare on: accepted untested"
        )
    for version in dict.fromkeys((_best(home), registry_of(home, None).current())):
        if version is None:
            continue
        try:
            best, network = registry_of(home, version).load(version)
        except (ModelRejected, UsageError) as error:
            problem = problem or error.problem
            continue
        if best.architecture != held_out.architecture.name:
            held_out = load_held_out(home, architecture(best.architecture))
        return judge(candidate, by_patient(network, best, held_out), version, margin)
    if problem:
        return unopposed(
            candidate,
            margin,
            f"the best model so far cannot be loaded ({problem}): accepted untested",
        )
    return unopposed(candidate, margin, "the first model: nothing to compare it with")


def _best(home: Home) -> str | None:
    """Return the best model accepted so far; the starter model if there is none."""
    return site_registry(home).best() or starter_registry().current()
