"""The library calls of the commands. A module is imported when one of its names is first used.

The libraries behind them (numpy, scipy, torch, flwr) take seconds to import, and the help of a
command must not wait for them. `from ecgfl_cli.commands import library` costs nothing;
`library.predict_files(...)` imports what it needs (PEP 562). A name is listed twice: under
`TYPE_CHECKING` for type checkers and import-linter, and in `MODULE_OF` for the import. A test
compares the two.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importlib.metadata import version as version

    from ecgfl_adapters.discovery import adapter_for as adapter_for
    from ecgfl_adapters.discovery import read as read
    from ecgfl_adapters.discovery import record_stem as record_stem
    from ecgfl_adapters.errors import AdapterError as AdapterError
    from ecgfl_adapters.errors import FormatUnknown as FormatUnknown
    from ecgfl_adapters.errors import LabelsUnreadable as LabelsUnreadable
    from ecgfl_adapters.label_folder import label_folder as label_folder
    from ecgfl_adapters.label_origin import ANNOTATOR as ANNOTATOR
    from ecgfl_adapters.labels import annotator_files as annotator_files
    from ecgfl_adapters.protocol import ReadOptions as ReadOptions
    from ecgfl_adapters.registry import adapters as adapters
    from ecgfl_adapters.search import find_recordings as find_recordings
    from ecgfl_adapters.search import leads_out_of as leads_out_of
    from ecgfl_adapters.search import why_skipped as why_skipped
    from ecgfl_adapters.tables.adapter import CsvAdapter as CsvAdapter
    from ecgfl_adapters.tables.explain import explain as explain
    from ecgfl_adapters.tables.layout import TableOptions as TableOptions
    from ecgfl_adapters.wfdb.leads import WfdbOptions as WfdbOptions

    from ecgfl_cli.beats.aami import BeatClass as BeatClass
    from ecgfl_cli.demo.show import run_demo as run_demo
    from ecgfl_cli.doctor.checks import check_all as check_all
    from ecgfl_cli.doctor.server_checks import check_server as check_server
    from ecgfl_cli.evaluation.ec57 import LEARNING_PERIOD_S as LEARNING_PERIOD_S
    from ecgfl_cli.evaluation.evaluate import evaluate_files as evaluate_files
    from ecgfl_cli.evaluation.label_source import existing_labels as existing_labels
    from ecgfl_cli.evaluation.paired import PairedEvaluation as PairedEvaluation
    from ecgfl_cli.evaluation.report import Evaluation as Evaluation
    from ecgfl_cli.evaluation.report import matrix_text as matrix_text
    from ecgfl_cli.evaluation.tables import difference_table as difference_table
    from ecgfl_cli.evaluation.tables import errors_text as errors_text
    from ecgfl_cli.evaluation.tables import gross_table as gross_table
    from ecgfl_cli.evaluation.tables import qrs_table as qrs_table
    from ecgfl_cli.evaluation.tables import side_by_side_table as side_by_side_table
    from ecgfl_cli.evaluation.tables import veb_table as veb_table
    from ecgfl_cli.federation.connection.address import check_address as check_address
    from ecgfl_cli.federation.connection.proxy import proxy_for as proxy_for
    from ecgfl_cli.federation.coordinator.audit import audit_log as audit_log
    from ecgfl_cli.federation.coordinator.audit import locked as locked
    from ecgfl_cli.federation.coordinator.home import CoordinatorHome as CoordinatorHome
    from ecgfl_cli.federation.coordinator.identity.audit_heads import AuditHeads as AuditHeads
    from ecgfl_cli.federation.coordinator.identity.certificates import (
        load_certificates as load_certificates,
    )
    from ecgfl_cli.federation.coordinator.identity.certificates import renew as renew
    from ecgfl_cli.federation.coordinator.identity.enrolment import enrol as enrol
    from ecgfl_cli.federation.coordinator.identity.enrolment import enrolled_sites as enrolled_sites
    from ecgfl_cli.federation.coordinator.identity.enrolment import key_files as key_files
    from ecgfl_cli.federation.coordinator.identity.enrolment import revoke as revoke
    from ecgfl_cli.federation.coordinator.initialise import make_coordinator as make_coordinator
    from ecgfl_cli.federation.coordinator.rounds.outliers import (
        deviation_in_words as deviation_in_words,
    )
    from ecgfl_cli.federation.coordinator.runs.global_models import (
        VERDICT_IN_WORDS as VERDICT_IN_WORDS,
    )
    from ecgfl_cli.federation.coordinator.runs.global_models import GlobalModels as GlobalModels
    from ecgfl_cli.federation.coordinator.runs.live_state import load_state as load_state
    from ecgfl_cli.federation.coordinator.runs.plan_file import resolve as resolve
    from ecgfl_cli.federation.coordinator.runs.plan_file import values_in_words as values_in_words
    from ecgfl_cli.federation.coordinator.runs.rollback import roll_back as roll_back
    from ecgfl_cli.federation.coordinator.runs.run_record import load_report as load_report
    from ecgfl_cli.federation.coordinator.serve import serve as serve
    from ecgfl_cli.federation.model_export import export_registry as export_registry
    from ecgfl_cli.federation.model_export import (
        require_exportable as require_exportable,
    )
    from ecgfl_cli.federation.simulation.comparison_page import comparison_page as comparison_page
    from ecgfl_cli.federation.simulation.ray_engine import require_engine as require_engine
    from ecgfl_cli.federation.simulation.simulate import simulate as simulate
    from ecgfl_cli.federation.simulation.trial import require_different as require_different
    from ecgfl_cli.federation.simulation.trial import trial as trial
    from ecgfl_cli.federation.simulation.virtual_sites import deal as deal
    from ecgfl_cli.federation.simulation.virtual_sites import virtual_site as virtual_site
    from ecgfl_cli.federation.site.dry_run import dry_run as dry_run
    from ecgfl_cli.federation.site.model_import import import_model as import_model
    from ecgfl_cli.federation.site.participation import JoinOptions as JoinOptions
    from ecgfl_cli.federation.site.participation import participate as participate
    from ecgfl_cli.federation.site.policy_checks import check_hours as check_hours
    from ecgfl_cli.federation.site.policy_checks import check_policy as check_policy
    from ecgfl_cli.federation.site.setup import NODE_KEY_MADE as NODE_KEY_MADE
    from ecgfl_cli.federation.site.setup import make_site as make_site
    from ecgfl_cli.models.federation_file import ca_certificate as ca_certificate
    from ecgfl_cli.models.federation_file import load_federation as load_federation
    from ecgfl_cli.models.model_file import model_file as model_file
    from ecgfl_cli.models.registry import Registry as Registry
    from ecgfl_cli.models.site_models import registry_of as registry_of
    from ecgfl_cli.models.site_models import site_registry as site_registry
    from ecgfl_cli.models.starter import MODEL_CARD as MODEL_CARD
    from ecgfl_cli.models.starter import starter_registry as starter_registry
    from ecgfl_cli.prediction.outputs import output_folders as output_folders
    from ecgfl_cli.prediction.pipeline import Classifier as Classifier
    from ecgfl_cli.prediction.predict import Output as Output
    from ecgfl_cli.prediction.predict import predict_files as predict_files
    from ecgfl_cli.prediction.writers.registry import writers_of as writers_of
    from ecgfl_cli.quality.limits import limits_of as limits_of
    from ecgfl_cli.site.settings import Recordings as Recordings
    from ecgfl_cli.site.settings import load_settings as load_settings
    from ecgfl_cli.store.ingest import ingest as ingest
    from ecgfl_cli.store.ingest import ingest_files as ingest_files
    from ecgfl_cli.store.ingest import remove_record as remove_record
    from ecgfl_cli.store.patient_key import check_rule as check_rule
    from ecgfl_cli.store.reading import Reading as Reading
    from ecgfl_cli.store.segment import segment as segment
    from ecgfl_cli.store.validate import validate_files as validate_files
    from ecgfl_cli.store.validate import validate_store as validate_store
    from ecgfl_cli.training.dataset import require_training_data as require_training_data

MODULE_OF = {
    "WfdbOptions": "ecgfl_adapters.wfdb.leads",
    "TableOptions": "ecgfl_adapters.tables.layout",
    "adapter_for": "ecgfl_adapters.discovery",
    "AdapterError": "ecgfl_adapters.errors",
    "adapters": "ecgfl_adapters.registry",
    "ANNOTATOR": "ecgfl_adapters.label_origin",
    "annotator_files": "ecgfl_adapters.labels",
    "audit_log": "ecgfl_cli.federation.coordinator.audit",
    "AuditHeads": "ecgfl_cli.federation.coordinator.identity.audit_heads",
    "BeatClass": "ecgfl_cli.beats.aami",
    "ca_certificate": "ecgfl_cli.models.federation_file",
    "check_address": "ecgfl_cli.federation.connection.address",
    "check_all": "ecgfl_cli.doctor.checks",
    "check_hours": "ecgfl_cli.federation.site.policy_checks",
    "check_policy": "ecgfl_cli.federation.site.policy_checks",
    "check_rule": "ecgfl_cli.store.patient_key",
    "check_server": "ecgfl_cli.doctor.server_checks",
    "Classifier": "ecgfl_cli.prediction.pipeline",
    "comparison_page": "ecgfl_cli.federation.simulation.comparison_page",
    "CoordinatorHome": "ecgfl_cli.federation.coordinator.home",
    "CsvAdapter": "ecgfl_adapters.tables.adapter",
    "deal": "ecgfl_cli.federation.simulation.virtual_sites",
    "deviation_in_words": "ecgfl_cli.federation.coordinator.rounds.outliers",
    "difference_table": "ecgfl_cli.evaluation.tables",
    "dry_run": "ecgfl_cli.federation.site.dry_run",
    "enrol": "ecgfl_cli.federation.coordinator.identity.enrolment",
    "enrolled_sites": "ecgfl_cli.federation.coordinator.identity.enrolment",
    "errors_text": "ecgfl_cli.evaluation.tables",
    "evaluate_files": "ecgfl_cli.evaluation.evaluate",
    "Evaluation": "ecgfl_cli.evaluation.report",
    "existing_labels": "ecgfl_cli.evaluation.label_source",
    "explain": "ecgfl_adapters.tables.explain",
    "find_recordings": "ecgfl_adapters.search",
    "FormatUnknown": "ecgfl_adapters.errors",
    "GlobalModels": "ecgfl_cli.federation.coordinator.runs.global_models",
    "gross_table": "ecgfl_cli.evaluation.tables",
    "import_model": "ecgfl_cli.federation.site.model_import",
    "ingest": "ecgfl_cli.store.ingest",
    "ingest_files": "ecgfl_cli.store.ingest",
    "JoinOptions": "ecgfl_cli.federation.site.participation",
    "key_files": "ecgfl_cli.federation.coordinator.identity.enrolment",
    "label_folder": "ecgfl_adapters.label_folder",
    "LabelsUnreadable": "ecgfl_adapters.errors",
    "leads_out_of": "ecgfl_adapters.search",
    "LEARNING_PERIOD_S": "ecgfl_cli.evaluation.ec57",
    "limits_of": "ecgfl_cli.quality.limits",
    "load_certificates": "ecgfl_cli.federation.coordinator.identity.certificates",
    "load_federation": "ecgfl_cli.models.federation_file",
    "load_report": "ecgfl_cli.federation.coordinator.runs.run_record",
    "load_settings": "ecgfl_cli.site.settings",
    "load_state": "ecgfl_cli.federation.coordinator.runs.live_state",
    "locked": "ecgfl_cli.federation.coordinator.audit",
    "make_coordinator": "ecgfl_cli.federation.coordinator.initialise",
    "make_site": "ecgfl_cli.federation.site.setup",
    "matrix_text": "ecgfl_cli.evaluation.report",
    "MODEL_CARD": "ecgfl_cli.models.starter",
    "model_file": "ecgfl_cli.models.model_file",
    "NODE_KEY_MADE": "ecgfl_cli.federation.site.setup",
    "Output": "ecgfl_cli.prediction.predict",
    "output_folders": "ecgfl_cli.prediction.outputs",
    "PairedEvaluation": "ecgfl_cli.evaluation.paired",
    "participate": "ecgfl_cli.federation.site.participation",
    "predict_files": "ecgfl_cli.prediction.predict",
    "proxy_for": "ecgfl_cli.federation.connection.proxy",
    "qrs_table": "ecgfl_cli.evaluation.tables",
    "read": "ecgfl_adapters.discovery",
    "Reading": "ecgfl_cli.store.reading",
    "ReadOptions": "ecgfl_adapters.protocol",
    "record_stem": "ecgfl_adapters.discovery",
    "Recordings": "ecgfl_cli.site.settings",
    "Registry": "ecgfl_cli.models.registry",
    "registry_of": "ecgfl_cli.models.site_models",
    "export_registry": "ecgfl_cli.federation.model_export",
    "remove_record": "ecgfl_cli.store.ingest",
    "renew": "ecgfl_cli.federation.coordinator.identity.certificates",
    "require_different": "ecgfl_cli.federation.simulation.trial",
    "require_engine": "ecgfl_cli.federation.simulation.ray_engine",
    "require_exportable": "ecgfl_cli.federation.model_export",
    "require_training_data": "ecgfl_cli.training.dataset",
    "resolve": "ecgfl_cli.federation.coordinator.runs.plan_file",
    "revoke": "ecgfl_cli.federation.coordinator.identity.enrolment",
    "roll_back": "ecgfl_cli.federation.coordinator.runs.rollback",
    "run_demo": "ecgfl_cli.demo.show",
    "segment": "ecgfl_cli.store.segment",
    "serve": "ecgfl_cli.federation.coordinator.serve",
    "side_by_side_table": "ecgfl_cli.evaluation.tables",
    "simulate": "ecgfl_cli.federation.simulation.simulate",
    "site_registry": "ecgfl_cli.models.site_models",
    "starter_registry": "ecgfl_cli.models.starter",
    "trial": "ecgfl_cli.federation.simulation.trial",
    "validate_files": "ecgfl_cli.store.validate",
    "validate_store": "ecgfl_cli.store.validate",
    "values_in_words": "ecgfl_cli.federation.coordinator.runs.plan_file",
    "veb_table": "ecgfl_cli.evaluation.tables",
    "VERDICT_IN_WORDS": "ecgfl_cli.federation.coordinator.runs.global_models",
    "version": "importlib.metadata",
    "virtual_site": "ecgfl_cli.federation.simulation.virtual_sites",
    "why_skipped": "ecgfl_adapters.search",
    "writers_of": "ecgfl_cli.prediction.writers.registry",
}
"""Name -> the module that it is imported from."""

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """Import the module of a name, and return what it stands for."""
        if name not in MODULE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(MODULE_OF[name]), name)
