"""What must hold of a federation's homes at every moment at which none of their programs runs."""

from pathlib import Path

from federation_homes import Homes
from node_processes import told

from ecgfl_cli.federation.coordinator.runs.run_record import load_report
from ecgfl_cli.models.manifest import Manifest
from ecgfl_cli.models.model_files import MAKING, REMOVING
from ecgfl_cli.site.audit import AuditLog


class SoakChecks:
    """Checks of the homes.

    models : the coordinator's verified models, by version. checked : number of verifications.

    rounds : of every run. audit_lines : of the last look at each site's log.
    """

    def __init__(self, homes: Homes, rounds: int) -> None:
        self._homes, self._rounds = homes, rounds
        self.models: dict[str, Manifest] = {}
        self.audit_lines: dict[str, int] = {}
        self.checked = self.audits = 0

    def coordinator(self) -> None:
        """Verify every model, and that they form a chain of runs that are whole but the last."""
        registry = self._homes.registry("coordinator")
        for version in registry.versions():
            if version not in self.models:
                self.models[version] = registry.load(version)[0]
                self.checked += 1
        chain = sorted(self.models.values(), key=lambda model: model.sequence)
        assert [model.sequence for model in chain] == list(range(1, len(chain) + 1))
        assert [model.parent for model in chain] == [None, *(model.version for model in chain)][
            : len(chain)
        ]
        for number, model in enumerate(chain):
            assert model.round == number % (self._rounds + 1), (
                f"a round was lost before {model.version}: {model}"
            )
            first = chain[number - model.round]
            assert model.run == first.run, f"{model.version} is of another run than {first.version}"
        runs = [model.run for model in chain if model.round == 0]
        assert len(set(runs)) == len(runs)

    def site(self, name: str) -> None:
        """Verify a site's models and its audit log.

        Every model is one of the coordinator's, and the log has each once, in order.
        """
        home, registry = self._homes.site(name), self._homes.registry(name)
        verified = told(home.root, "model", "verify")
        assert verified.code == 0, (name, verified.said)
        self.checked += len(verified.result["versions"])
        ours = self._homes.registry("coordinator")
        for entry in registry.entries():
            assert ours.entry(entry.manifest.version).manifest == entry.manifest
        current = registry.current()
        assert current is None or ours.entry(current).manifest.is_final
        audited = told(home.root, "audit", "verify")
        assert audited.code == 0, (name, audited.said)
        entries = AuditLog(home.audit).entries()
        self.audits, self.audit_lines[name] = self.audits + 1, len(entries)
        received = [
            int(entry["version"].split("-")[1])
            for entry in entries
            if entry["event"] == "model-received"
        ]
        assert received == sorted(received), f"{name} received a model after a newer one"
        promoted = [
            int(entry["version"].split("-")[1])
            for entry in entries
            if entry["event"] == "model-promoted"
        ]
        assert promoted == sorted(set(promoted))

    def reports(self) -> int:
        """Compare the report of each run with the models. Return the number of finished runs."""
        finished = 0
        for path in sorted(self._homes.coordinator_home.reports.glob("*.json")):
            report = load_report(path)
            made = sorted(
                (model for model in self.models.values() if model.run == report.run),
                key=lambda model: model.round,
            )
            assert [each.version for each in report.rounds] == [
                model.version for model in made[1:]
            ], path
            if made[-1].is_final:
                finished += 1
        return finished

    def temporary(self) -> list[Path]:
        """Files and folders that were being made or removed when their program was killed."""
        found = (
            path
            for path in self._homes.folder.rglob(".*")
            if path.name.startswith((MAKING, REMOVING)) or path.suffix == ".tmp"
        )
        return sorted(found)
