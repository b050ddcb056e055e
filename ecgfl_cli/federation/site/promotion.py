"""Check a verified model, and promote or reject it.

The model comes from the coordinator or from a file.
"""

import math
from dataclasses import replace
from datetime import UTC, datetime

from ecgfl_cli.errors import ModelRejected, PolicyRefused, UsageError
from ecgfl_cli.models.architecture import architecture
from ecgfl_cli.models.manifest import LARGEST_LOSS, Manifest, SignedManifest
from ecgfl_cli.models.provenance import require_lineage
from ecgfl_cli.models.registry import Registry
from ecgfl_cli.models.site_models import model_change, registry_of, site_registry
from ecgfl_cli.models.starter import starter_registry
from ecgfl_cli.site.home import Home
from ecgfl_cli.site.policy import Policy
from ecgfl_cli.training.acceptance import ByPatient, Verdict, by_patient, judge, unopposed
from ecgfl_cli.training.dataset import HeldOut, load_held_out


def allow_model(
    signed: SignedManifest, manifest: Manifest, policy: Policy, registry: Registry
) -> None:
    """Check that this site may use a model.

    Parameters
    ----------
    signed, manifest
        Manifest of the model.
    policy
        Policy of the site, from site.toml.
    registry
        Registry of the models that this site has.

    Raises
    ------
    PolicyRefused
        If the policy does not list the architecture of the model, or this site has a newer model.
    ModelRejected
        If the model has expired and this site does not have it, its parent is not the model that
        this site knows, or this site knows another model with its version or number.
    """
    if manifest.architecture not in policy.architectures:
        raise PolicyRefused(
            f"model {manifest.version} has the architecture '{manifest.architecture}', "
            f"policy.architectures is {policy.architectures}",
            "Add the architecture to policy.architectures in site.toml if this site agrees",
        )
    if manifest.version not in registry.versions() and not manifest.is_news(datetime.now(UTC)):
        expiry = (
            "has no expiry date, because an older version of ecgfl made it"
            if manifest.expires is None
            else f"expired on {manifest.expires[:10]}"
        )
        raise ModelRejected(
            f"model {manifest.version} {expiry}, and this site has not received it before",
            "Ask the coordinator for a newer model; `ecgfl coordinator model rollback VERSION` "
            "publishes an old model again",
        )
    mark = registry.high_water_mark()
    if mark is not None and manifest.sequence < mark.sequence:
        raise PolicyRefused(
            f"model {manifest.version} has number {manifest.sequence} and is older than the newest "
            f"model of this site, which has number {mark.sequence}",
            "Ask whether the coordinator was restored from a backup. To use an old model of this "
            "site again, run `ecgfl model use VERSION`",
        )
    registry.require_new_or_same(signed, manifest)
    require_lineage(signed, manifest, registry)


def require_sane_loss(loss: float, manifest: Manifest) -> float:
    """Return a model's loss after checking that the model is not useless.

    Parameters
    ----------
    loss
        Log loss of the model on beats of this site.
    manifest
        Manifest of the model.

    Raises
    ------
    ModelRejected
        If the loss is not finite or larger than `LARGEST_LOSS`.
    """
    if not math.isfinite(loss) or loss > LARGEST_LOSS:
        raise ModelRejected(
            f"model {manifest.version}: its loss on this site's beats is {loss:g}, the largest "
            f"valid loss is {LARGEST_LOSS:g}",
            "The training of the run has diverged; tell the coordinator",
        )
    return loss


def consider(
    home: Home, policy: Policy, manifest: Manifest, candidate: ByPatient, held_out: HeldOut
) -> Verdict:
    """Test a model of the site's registry, and promote it if the test accepts it.

    The verdict is recorded in the registry and in the audit log. If the model is already the
    current one, nothing changes.

    Parameters
    ----------
    home
        Home of the site.
    policy
        Policy of the site, from site.toml.
    manifest
        Manifest of the model.
    candidate
        Figures of the model on the patients of `held_out`.
    held_out
        The held-out patients.

    Returns
    -------
    Verdict
        Result of the acceptance test.
    """
    registry = site_registry(home)
    if registry.current() == manifest.version:
        verdict = unopposed(
            candidate, policy.acceptance_margin, "it is the current model already", manifest.version
        )
        tested = (registry.entry(manifest.version).acceptance or {}).get("code") == "not-worse"
        return replace(verdict, code="not-worse") if tested else verdict
    verdict = _verdict(home, policy, candidate, held_out)
    event = "model-promoted" if verdict.accepted else "model-rejected"
    with model_change(
        home,
        registry,
        event,
        version=manifest.version,
        sha256=manifest.weights_sha256,
        acceptance=verdict.as_dict(),
    ):
        if verdict.accepted:
            registry.promote(manifest.version, as_best=verdict.is_best)
        # The verdict is stored last, so that a site that is killed before tests the model again.
        registry.judged(manifest.version, verdict.as_dict())
    return verdict


def _verdict(home: Home, policy: Policy, candidate: ByPatient, held_out: HeldOut) -> Verdict:
    """Compare a candidate with the best model accepted so far, on the present held-out patients.

    If the best model cannot be loaded, compare with the current model.
    """
    margin = policy.acceptance_margin
    problem = ""
    if not any(measured.pvcs for measured in candidate.values()):
        return unopposed(
            candidate,
            margin,
            "accepted untested: the held-out patients have no PVCs",
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
            f"accepted untested: the best model so far cannot be loaded ({problem})",
        )
    return unopposed(candidate, margin, "accepted untested: there is no model to compare it with")


def _best(home: Home) -> str | None:
    """Return the best model accepted so far; the starter model if there is none."""
    return site_registry(home).best() or starter_registry().current()
