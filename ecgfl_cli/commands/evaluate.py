"""`ecgfl evaluate`."""

from typing import TYPE_CHECKING, Annotated

import typer

from ecgfl_cli.commands.options import Lead, Model, Recordings, SamplingRate, Units
from ecgfl_cli.console import console_of, percent

if TYPE_CHECKING:
    from ecgfl_cli.evaluation.comparison import Comparison


def command(
    context: typer.Context,
    files: Recordings,
    labels: Annotated[str | None, typer.Option("--labels", help="Reference labels: a file or a WFDB annotator's suffix.")] = None,
    lead: Lead = None,
    model: Model = None,
    fs: SamplingRate = None,
    units: Units = None,
) -> None:
    """Compare the model with reference labels as ANSI/AAMI EC57 does, on beats that it finds itself."""
    from ecgfl_adapters.discovery import read
    from ecgfl_adapters.errors import AdapterError
    from ecgfl_adapters.protocol import ReadOptions

    from ecgfl_cli.commands.recordings import lead_of, named_recordings
    from ecgfl_cli.errors import EcgflError, ExitCode
    from ecgfl_cli.evaluation.assess import assess
    from ecgfl_cli.evaluation.report import Evaluation, matrix_text
    from ecgfl_cli.federation.site_setup import site_registry
    from ecgfl_cli.prediction.pipeline import Classifier

    console = console_of(context, "evaluate")
    recordings = named_recordings(console, files)
    classifier = Classifier(site_registry(console.home), model)
    options = ReadOptions(leads=(lead,) if lead else (), fs=fs, units=units, labels=labels, assume_wfdb_gain=True)
    wanted = lead_of(console, lead)
    compared: dict[str, Comparison] = {}
    code = ExitCode.DONE
    for path in console.track(recordings, len(recordings), "evaluate"):
        try:
            recording = read(path, "auto", options)
            comparison = assess(recording, classifier.predict(recording, wanted).labels())
        except (AdapterError, EcgflError) as error:
            console.problem(str(error))
            code = ExitCode.INPUT
            continue
        compared[recording.name if recording.name not in compared else str(path)] = comparison
    evaluation = Evaluation.of(compared)
    console.table(
        f"EC57, beats found by {classifier.manifest.version} itself, first 5 minutes skipped (percent)",
        ("record ", "QRS Se", "QRS +P", "VEB TP", "VEB FN", "VEB FP", "VEB Se", "VEB +P", "VEB F1", "FP/h"),
        [_row(name, comparison) for name, comparison in compared.items()],
        footer=_row("gross", evaluation.gross),
    )
    names = {"qrs_sensitivity": "QRS Se", "qrs_positive_predictivity": "QRS +P"}
    names |= {"veb_sensitivity": "VEB Se", "veb_ppv": "VEB +P", "veb_f1": "VEB F1"}
    for field, name in names.items():
        interval = evaluation.intervals[field]
        if interval is not None:
            low, high = (100 * bound for bound in interval)
            console.text(f"{name}: 95 % interval {low:.2f} to {high:.2f}, bootstrap over {len(compared)} records")
    if compared:
        console.text(matrix_text(evaluation.gross))
    console.result(code, model=classifier.manifest.version, **evaluation.as_dict())
    raise typer.Exit(code)


def _row(name: str, comparison: "Comparison") -> tuple[object, ...]:
    shares = (comparison.veb_sensitivity, comparison.veb_ppv, comparison.veb_f1)
    return (
        name,
        percent(comparison.qrs_sensitivity),
        percent(comparison.qrs_positive_predictivity),
        comparison.veb_tp,
        comparison.veb_fn,
        comparison.veb_fp,
        *(percent(share) for share in shares),
        comparison.veb_false_positives_per_hour,
    )
