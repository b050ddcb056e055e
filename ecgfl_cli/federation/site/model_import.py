"""Import a model from a file, for a site without a network connection.

It is checked and tested like a model that the coordinator sends.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ecgfl_cli.errors import ModelRejected, PolicyRefused
from ecgfl_cli.federation.site.promotion import allow_model, consider, require_sane_loss
from ecgfl_cli.models.architecture import architecture
from ecgfl_cli.models.federation_file import load_federation
from ecgfl_cli.models.manifest import Verifier
from ecgfl_cli.models.model_file import read_model_file
from ecgfl_cli.models.site_models import (
    follow_roots,
    model_change,
    prune_models,
    unchecked_registry,
)
from ecgfl_cli.site.audit import AuditLog
from ecgfl_cli.site.home import Home
from ecgfl_cli.site.policy_changes import note_policy
from ecgfl_cli.site.settings import SiteSettings
from ecgfl_cli.training.acceptance import Verdict, by_patient, total
from ecgfl_cli.training.dataset import load_held_out


@dataclass(frozen=True)
class Imported:
    """Result of an import.

    Attributes
    ----------
    version
        Version of the model.
    verdict
        Verdict of the acceptance test.
    """

    version: str
    verdict: Verdict


def import_model(home: Home, settings: SiteSettings, path: Path) -> Imported:
    """Add a model to the registry, and make it current if it passes the acceptance test.

    A refusal is written to the audit log.

    Parameters
    ----------
    home
        Home of the site.
    settings
        Its settings.
    path
        The model file.

    Raises
    ------
    ModelRejected
        The signature, the hash, the architecture or the weights are wrong, or the model is not the
        final one of its run.
    PolicyRefused
        The policy forbids the model, or it is older than the newest model of this site.
    """
    load_federation(home.federation)
    audit = AuditLog(home.audit)
    note_policy(home.audit, settings.policy)

    def keys(roots: list[str]) -> Verifier:
        return follow_roots(home, roots).new(datetime.now(UTC))

    try:
        signed, manifest, network = read_model_file(path, keys)
        registry = unchecked_registry(home)  # the import repairs its own version
        registry.require_intact(but=manifest.version)
        allow_model(signed, manifest, settings.policy, registry)
        if not manifest.is_final:
            raise ModelRejected(
                f"{path}: model {manifest.version} is from round {manifest.round} of"
                f" {manifest.rounds}, not the final model of its run",
                "Ask the coordinator for the file of the run's final model",
            )
        held_out = load_held_out(home, architecture(manifest.architecture))
        candidate = by_patient(network, manifest, held_out)
        require_sane_loss(total(candidate).loss, manifest)
        details = {
            "version": manifest.version,
            "sha256": manifest.weights_sha256,
            "round": manifest.round,
            "sequence": manifest.sequence,
            "manifest": signed.sha256,
            "by": "file",
        }
        with model_change(home, registry, "model-received", **details):
            registry.add(signed, network, "a file")
    except (ModelRejected, PolicyRefused) as error:
        audit.append("refused", by="file", reason=str(error))
        raise
    verdict = consider(home, settings.policy, manifest, candidate, held_out)
    prune_models(home, registry, settings.models.keep)
    return Imported(manifest.version, verdict)
