"""A model that came in a file, for a site without a line out: checked and tested as one that came over the line."""

from dataclasses import dataclass
from pathlib import Path

from ecgfl_cli.errors import ModelRejected, PolicyRefused
from ecgfl_cli.federation.site.promotion import allow_model, consider, require_sane_loss
from ecgfl_cli.models.architecture import architecture
from ecgfl_cli.models.federation_file import load_federation
from ecgfl_cli.models.model_file import read_model_file
from ecgfl_cli.models.site_models import site_registry
from ecgfl_cli.site.audit import AuditLog
from ecgfl_cli.site.home import Home
from ecgfl_cli.site.policy_changes import note_policy
from ecgfl_cli.site.settings import SiteSettings
from ecgfl_cli.training.acceptance import Verdict, by_patient, total
from ecgfl_cli.training.dataset import load_held_out


@dataclass(frozen=True)
class Imported:
    """version : the file's. verdict : of the acceptance test."""

    version: str
    verdict: Verdict


def import_model(home: Home, settings: SiteSettings, path: Path) -> Imported:
    """Take a file's model into the registry, and make it the current one when it passes the acceptance test.

    Raises `ModelRejected` when its signature, hash, architecture or weights are wrong or it is no final model,
    `PolicyRefused` when the policy forbids it or it is older than what is here; each is written into the audit log.
    """
    federation, registry, audit = (
        load_federation(home.federation),
        site_registry(home),
        AuditLog(home.audit),
    )
    note_policy(home.audit, settings.policy)
    try:
        signed, manifest, network = read_model_file(path, federation.signing_key)
        allow_model(manifest, settings.policy, registry)
        if not manifest.is_final:
            raise ModelRejected(
                f"{path}: model {manifest.version} is of round {manifest.round} of {manifest.rounds}, not its run's final one",
                "Ask the coordinator for the file of the run's last model",
            )
        held_out = load_held_out(home, architecture(manifest.architecture))
        candidate = by_patient(network, manifest, held_out)
        require_sane_loss(total(candidate).loss, manifest)
        details = {
            "version": manifest.version,
            "sha256": manifest.weights_sha256,
            "round": manifest.round,
            "by": "file",
        }
        with audit.change("model-received", **details):
            registry.add(signed, network, "a file")
    except (ModelRejected, PolicyRefused) as error:
        audit.append("refused", by="file", reason=str(error))
        raise
    verdict = consider(home, settings.policy, manifest, candidate, held_out)
    for version in registry.prune(settings.models.keep):
        audit.append("model-pruned", version=version)
    return Imported(manifest.version, verdict)
