"""`ecgfl predict`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from ecgfl_adapters.wfdb.leads import WfdbOptions

from ecgfl_cli.commands.findings import show_findings
from ecgfl_cli.commands.options import (
    FollowLinks,
    ForceOver,
    Lead,
    Model,
    OnlyInputFormat,
    Recordings,
    SamplingRate,
    Units,
)
from ecgfl_cli.commands.reading import recordings_and_reading
from ecgfl_cli.console import Console, console_of
from ecgfl_cli.errors import ExitCode
from ecgfl_cli.files import readable_as_usual
from ecgfl_cli.models.site_models import registry_of
from ecgfl_cli.prediction.ectopy import Ectopy
from ecgfl_cli.prediction.outputs import output_folders
from ecgfl_cli.prediction.pipeline import Classifier
from ecgfl_cli.prediction.predict import Output, PredictedFile, predict_files
from ecgfl_cli.prediction.writers.registry import writers_of
from ecgfl_cli.quality.findings import Finding, Severity, Usability


def command(
    context: typer.Context,
    files: Recordings,
    out: Annotated[
        Path, typer.Option("--out", help="Folder for the results; created if it does not exist.")
    ] = Path(),
    formats: Annotated[
        str,
        typer.Option(
            "--format", help="Formats of the results: wfdb, csv, json, separated by commas."
        ),
    ] = "wfdb,csv,json",
    lead: Lead = None,
    model: Model = None,
    fs: SamplingRate = None,
    units: Units = None,
    file_format: OnlyInputFormat = "auto",
    force: ForceOver = False,
    follow_links: FollowLinks = False,
) -> None:
    """Find PVCs in recordings with the current model.

    The results are written in formats that cardiologists' tools read.
    """
    console = console_of(context, "predict")
    writers = writers_of(formats)
    recordings, reading = recordings_and_reading(
        console,
        files,
        file_format,
        lead,
        follow_links=follow_links,
        fs=fs,
        units=units,
        labels="none",
        force=force,
        format_options=(WfdbOptions(assume_gain=True),),
    )
    output = Output(output_folders(recordings, files, out), writers, force)
    classifier = Classifier(registry_of(console.home, model), model)
    with readable_as_usual():
        out.mkdir(parents=True, exist_ok=True)
    work = predict_files(recordings, classifier, reading, output)
    summaries, failed = [], []
    for path, result in console.track(work, len(recordings), "predict"):
        if isinstance(result, str):
            console.problem(result)
            failed.append({"file": path, "error": result})
        else:
            summaries.append(_summary(console, path, result))
    _show(console, summaries, classifier.manifest.version)
    if summaries:
        console.say(f"The results are in {out.absolute()}")
    is_doubtful = any(summary.errors for summary in summaries)
    code = ExitCode.INPUT if failed or is_doubtful else ExitCode.DONE
    entries = {entry["file"]: entry for entry in [*failed, *map(_as_dict, summaries)]}
    console.result(
        code,
        model=classifier.manifest.version,
        recordings=[entries[path] for path in recordings],
    )
    raise typer.Exit(code)


@dataclass(frozen=True)
class _Summary:
    """What is shown of one prediction.

    Attributes
    ----------
    doubts
        The errors and warnings among its findings.
    """

    path: Path
    record: str
    leads: tuple[str, ...]
    ectopy: Ectopy
    written: list[Path]
    doubts: list[Finding]

    @property
    def errors(self) -> list[str]:
        """Codes of the errors, without repetition."""
        codes = [each.code for each in self.doubts if each.severity is Severity.ERROR]
        return list(dict.fromkeys(codes))


def _summary(console: Console, path: Path, result: PredictedFile) -> _Summary:
    summary = _Summary(
        path,
        result.prediction.record,
        result.prediction.leads,
        result.prediction.ectopy,
        result.written,
        [finding for finding in result.findings if finding.severity is not Severity.INFO],
    )
    if summary.errors:
        console.problem(
            f"{path}: {', '.join(summary.errors)}: do not rely on this result. The findings give "
            "the reason and the fix"
        )
    return summary


def _show(console: Console, summaries: list[_Summary], version: str) -> None:
    show_findings(
        console,
        [(str(summary.path), summary.doubts) for summary in summaries],
        {Usability.USABLE: "without an error", Usability.REJECTED: "with an error"},
    )
    console.table(
        f"PVCs found by {version} (not for diagnosis)",
        (
            "record ",
            "leads ",
            "beats",
            "PVCs",
            "burden %",
            "PVCs/h",
            "couplets",
            "runs",
            "not classified",
        ),
        [
            (
                summary.record,
                " ".join(summary.leads),
                summary.ectopy.beats,
                summary.ectopy.pvcs,
                summary.ectopy.burden_percent,
                summary.ectopy.pvcs_per_hour,
                summary.ectopy.couplets,
                summary.ectopy.runs,
                summary.ectopy.unclassified,
            )
            for summary in summaries
        ],
    )


def _as_dict(summary: _Summary) -> dict[str, Any]:
    return {
        "file": summary.path,
        "record": summary.record,
        "leads": list(summary.leads),
        "ectopy": summary.ectopy.as_dict(),
        "written": summary.written,
        "findings": [finding.as_dict() for finding in summary.doubts],
    }
