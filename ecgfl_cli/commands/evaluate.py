"""`ecgfl evaluate`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from ecgfl_adapters.discovery import read
from ecgfl_adapters.label_folder import label_folder
from ecgfl_adapters.label_origin import ANNOTATOR
from ecgfl_adapters.protocol import ReadOptions
from ecgfl_adapters.recording import BeatLabel, Recording
from ecgfl_adapters.wfdb.leads import WfdbOptions

from ecgfl_cli.commands.options import (
    FollowLinks,
    Force,
    Lead,
    Model,
    OnlyInputFormat,
    Recordings,
    SamplingRate,
    Units,
)
from ecgfl_cli.commands.reading import recordings_and_reading
from ecgfl_cli.console import Console, console_of
from ecgfl_cli.errors import ExitCode, UsageError
from ecgfl_cli.evaluation.comparison import Comparison
from ecgfl_cli.evaluation.ec57 import LEARNING_PERIOD_S
from ecgfl_cli.evaluation.evaluate import evaluate_files
from ecgfl_cli.evaluation.label_source import existing_labels
from ecgfl_cli.evaluation.paired import PairedEvaluation
from ecgfl_cli.evaluation.report import Evaluation, matrix_text
from ecgfl_cli.evaluation.tables import (
    difference_table,
    errors_text,
    gross_table,
    qrs_table,
    side_by_side_table,
    veb_table,
)
from ecgfl_cli.models.site_models import registry_of
from ecgfl_cli.prediction.pipeline import Classifier


@dataclass(frozen=True)
class AnnotationSource:
    """A source of annotations to evaluate: a model version, or existing annotations."""

    name: str
    annotate: Callable[[Path, Recording], Sequence[BeatLabel]]


def command(
    context: typer.Context,
    files: Recordings,
    labels: Annotated[
        str | None,
        typer.Option(
            "--labels",
            help="Reference labels: a file, a folder of files, or an annotator's suffix.",
        ),
    ] = None,
    lead: Lead = None,
    model: Model = None,
    against: Annotated[
        str | None,
        typer.Option(
            "--against",
            help="Another model version to compare with, record by record.",
            metavar="VERSION",
        ),
    ] = None,
    test: Annotated[
        str | None,
        typer.Option(
            "--test",
            help="Annotations to evaluate instead of a model: the suffix of files beside the "
            "recordings, a file, or a folder that `ecgfl predict --out` wrote.",
            metavar="SUFFIX|PATH",
        ),
    ] = None,
    fs: SamplingRate = None,
    units: Units = None,
    file_format: OnlyInputFormat = "auto",
    force: Force = False,
    follow_links: FollowLinks = False,
) -> None:
    """Measure a model against reference labels by ANSI/AAMI EC57.

    The model is measured on the beats that it detects itself, and can be compared with another.
    """
    console = console_of(context, "evaluate")
    recordings, reading = recordings_and_reading(
        console,
        files,
        file_format,
        lead,
        follow_links=follow_links,
        fs=fs,
        units=units,
        labels=labels,
        force=force,
        format_options=(WfdbOptions(assume_gain=True),),
    )
    tested = [
        _model(console, model, reading.lead)
        if test is None
        else _annotations(test, model, recordings, files, reading.options),
        *([] if against is None else [_model(console, against, lead)]),
    ]
    _refuse_the_same_twice(tested)
    work = evaluate_files(
        recordings,
        lambda path: read(path, reading.format, reading.options_for(path)),
        [source.annotate for source in tested],
        lead=reading.lead,
        whole=test is not None,
    )
    compared: list[dict[str, Comparison]] = [{} for _ in tested]
    failed: list[dict[str, object]] = []
    partly: dict[str, list[tuple[float, float]]] = {}
    for path, result in console.track(work, len(recordings), "evaluate"):
        if isinstance(result, str):
            console.problem(result)
            failed.append({"file": path, "error": result})
            continue
        name = result.name if result.name not in compared[0] else str(path)
        if result.is_partly_labelled:
            partly[name] = result.spans
            console.problem(
                f"{path}: its labels cover {result.evaluated_seconds:.0f} of the "
                f"{result.seconds - LEARNING_PERIOD_S:.0f} s after the learning period; "
                "only that part is evaluated"
            )
        for records, comparison in zip(compared, result.comparisons, strict=True):
            records[name] = comparison
    evaluations = [Evaluation.of(records) for records in compared]
    paired = PairedEvaluation.of(*evaluations) if against is not None else None
    if compared[0]:
        _show(console, tested[0], evaluations[0])
    if compared[0] and paired is not None:
        _show_pair(console, tested[0], tested[1], paired)
    rival = (
        {}
        if paired is None
        else {
            "against": {"model": against, **evaluations[1].as_dict()},
            "comparison": paired.as_dict(),
        }
    )
    code = ExitCode.INPUT if failed else ExitCode.DONE
    console.result(
        code,
        model=tested[0].name if test is None else None,
        test=test,
        failed=failed,
        partly_labelled=partly,
        **evaluations[0].as_dict(),
        **rival,
    )
    raise typer.Exit(code)


def _model(console: Console, version: str | None, lead: str | None) -> AnnotationSource:

    classifier = Classifier(registry_of(console.home, version), version)
    return AnnotationSource(
        classifier.manifest.version,
        lambda _, recording: classifier.predict(recording, lead).labels(),
    )


def _annotations(
    test: str, model: str | None, recordings: list[Path], named: list[Path], options: ReadOptions
) -> AnnotationSource:

    if model is not None:
        raise UsageError(
            f"--test {test} and --model {model} are two things to evaluate",
            f"Give one of them; to compare the two: --test {test} --against {model}",
        )
    if len(recordings) > 1 and Path(test).is_file():
        raise UsageError(
            f"--test {test} is one file, but there are {len(recordings)} recordings",
            "Give a suffix or a folder, or evaluate that file's recording alone",
        )

    folder = (
        label_folder(Path(test), recordings, named, (ANNOTATOR,)) if Path(test).is_dir() else None
    )

    def annotate(path: Path, recording: Recording) -> Sequence[BeatLabel]:
        return existing_labels(path, recording, options, test, folder)

    return AnnotationSource(test, annotate)


def _refuse_the_same_twice(tested: list[AnnotationSource]) -> None:

    if len({each.name for each in tested}) < len(tested):
        raise UsageError(
            f"--against {tested[0].name}: the model to compare it with is that version itself",
            "Give another; `ecgfl model list` shows them",
        )


def _show(console: Console, tested: AnnotationSource, evaluation: Evaluation) -> None:

    console.text(
        "EC57: beats are matched within 150 ms, the first 5 minutes of a record do not count"
    )
    console.table(*qrs_table(f"QRS found by {tested.name}", evaluation))
    console.table(*veb_table(f"VEB found by {tested.name}", evaluation))
    records = len(evaluation.records)
    if records > 1:
        console.table(
            *gross_table(f"Gross, with intervals by bootstrap over {records} records", evaluation)
        )
    console.block(matrix_text(evaluation.gross))


def _show_pair(
    console: Console, a: AnnotationSource, b: AnnotationSource, paired: PairedEvaluation
) -> None:

    console.table(*side_by_side_table(f"VEB, A = {a.name}, B = {b.name}", paired))
    console.table(*difference_table("Gross of both, with intervals by paired bootstrap", paired))
    console.block(errors_text(paired))
