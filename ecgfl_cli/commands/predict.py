"""`ecgfl predict`."""

from pathlib import Path
from typing import Annotated

import typer

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
from ecgfl_cli.console import console_of


def command(
    context: typer.Context,
    files: Recordings,
    out: Annotated[
        Path, typer.Option("--out", help="Folder for the results; made when it is not there.")
    ] = Path(),
    formats: Annotated[
        str, typer.Option("--format", help="Any of wfdb, csv, json, separated by commas.")
    ] = "wfdb,csv,json",
    lead: Lead = None,
    model: Model = None,
    fs: SamplingRate = None,
    units: Units = None,
    file_format: OnlyInputFormat = "auto",
    force: ForceOver = False,
    follow_links: FollowLinks = False,
) -> None:
    """Find the PVCs in recordings with the current model, here, and write what cardiologists' tools read."""
    from ecgfl_adapters.discovery import read
    from ecgfl_adapters.errors import AdapterError
    from ecgfl_adapters.wfdb.leads import WfdbOptions

    from ecgfl_cli.commands.findings import show_findings
    from ecgfl_cli.commands.reading import reading_of
    from ecgfl_cli.commands.recordings import named_recordings
    from ecgfl_cli.errors import EcgflError, ExitCode, of_one_file
    from ecgfl_cli.federation.site.setup import registry_of
    from ecgfl_cli.files import readable_as_usual
    from ecgfl_cli.prediction.outputs import output_folders, write_results
    from ecgfl_cli.prediction.pipeline import Classifier
    from ecgfl_cli.prediction.writers.registry import writers_of
    from ecgfl_cli.quality.checks import check
    from ecgfl_cli.quality.findings import Finding, Severity, Verdict, is_usable

    console = console_of(context, "predict")
    writers = writers_of(formats)
    recordings = named_recordings(console, files, follow_links=follow_links)
    folders = output_folders(recordings, files, out)
    classifier = Classifier(registry_of(console.home, model), model)
    reading = reading_of(
        console,
        file_format,
        lead,
        fs=fs,
        units=units,
        labels="none",
        force=force,
        format_options=(WfdbOptions(assume_gain=True),),
        named=tuple(files),
        follow_links=follow_links,
    )
    with readable_as_usual():
        out.mkdir(parents=True, exist_ok=True)
    rows, results, code = [], [], ExitCode.DONE
    checked: list[tuple[str, list[Finding]]] = []
    for path in console.track(recordings, len(recordings), "predict"):
        try:
            recording = read(path, reading.format, reading.options)
            prediction = classifier.predict(recording, reading.lead)
            findings = check(recording, prediction.samples, reading.limits, reading.lead)
            with readable_as_usual():
                written = write_results(recording, prediction, folders[path], writers, force=force)
        except Exception as error:  # noqa: BLE001 - the other files are predicted whatever the error is
            problem = str(
                error if isinstance(error, AdapterError | EcgflError) else of_one_file(path, error)
            )
            console.problem(problem)
            results.append({"file": path, "error": problem})
            code = ExitCode.INPUT
            continue
        doubts = [each for each in findings if each.severity is not Severity.INFO]
        checked.append((str(path), doubts))
        if not is_usable(doubts):
            errors = ", ".join(
                dict.fromkeys(each.code for each in doubts if each.severity is Severity.ERROR)
            )
            console.problem(
                f"{path}: {errors}: do not rely on its result. The findings say why and what to do"
            )
            code = ExitCode.INPUT
        ectopy = prediction.ectopy
        rows.append(
            (
                *(
                    prediction.record,
                    " ".join(prediction.leads),
                    ectopy.beats,
                    ectopy.pvcs,
                    ectopy.burden_percent,
                ),
                *(ectopy.pvcs_per_hour, ectopy.couplets, ectopy.runs, ectopy.unclassified),
            )
        )
        results.append(
            {
                "file": path,
                "record": prediction.record,
                "leads": list(prediction.leads),
                "ectopy": ectopy.as_dict(),
                "written": written,
            }
        )
        results[-1]["findings"] = [finding.as_dict() for finding in doubts]
    show_findings(
        console, checked, {Verdict.USABLE: "without an error", Verdict.REJECTED: "with an error"}
    )
    console.table(
        f"PVCs found by {classifier.manifest.version} (not for diagnosis)",
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
        rows,
    )
    if rows:
        console.say(f"The results are in {out.absolute()}")
    console.result(code, model=classifier.manifest.version, recordings=results)
    raise typer.Exit(code)
