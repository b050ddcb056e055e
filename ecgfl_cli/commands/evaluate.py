"""`ecgfl evaluate`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

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
from ecgfl_cli.console import Console, console_of

if TYPE_CHECKING:
    from ecgfl_adapters.protocol import ReadOptions
    from ecgfl_adapters.recording import BeatLabel, Recording

    from ecgfl_cli.evaluation.comparison import Comparison
    from ecgfl_cli.evaluation.paired import PairedEvaluation
    from ecgfl_cli.evaluation.report import Evaluation


@dataclass(frozen=True)
class Tested:
    """Where the annotations to evaluate come from: a model's version, or the name of annotations that are there already."""

    name: str
    annotate: "Callable[[Path, Recording], Sequence[BeatLabel]]"


def command(
    context: typer.Context,
    files: Recordings,
    labels: Annotated[
        str | None,
        typer.Option(
            "--labels", help="Reference labels: a file, a folder of them, or an annotator's suffix."
        ),
    ] = None,
    lead: Lead = None,
    model: Model = None,
    against: Annotated[
        str | None,
        typer.Option(
            "--against",
            help="Another model version, to compare with record by record.",
            metavar="VERSION",
        ),
    ] = None,
    test: Annotated[
        str | None,
        typer.Option(
            "--test",
            help="Annotations to evaluate in a model's place: the suffix of files beside the recordings, a file, "
            "or a folder that `ecgfl predict --out` wrote.",
            metavar="SUFFIX|PATH",
        ),
    ] = None,
    fs: SamplingRate = None,
    units: Units = None,
    file_format: OnlyInputFormat = "auto",
    force: Force = False,
    follow_links: FollowLinks = False,
) -> None:
    """Measure a model by reference labels as ANSI/AAMI EC57 does, on beats that it finds itself, and compare it with another."""
    from ecgfl_adapters.discovery import read
    from ecgfl_adapters.errors import AdapterError
    from ecgfl_adapters.wfdb.leads import WfdbOptions

    from ecgfl_cli.commands.reading import reading_of, with_label_folder
    from ecgfl_cli.commands.recordings import named_recordings
    from ecgfl_cli.errors import EcgflError, ExitCode, of_one_file
    from ecgfl_cli.evaluation.assess import assess, evaluated_spans, reference_of
    from ecgfl_cli.evaluation.ec57 import LEARNING_PERIOD_S
    from ecgfl_cli.evaluation.paired import PairedEvaluation
    from ecgfl_cli.evaluation.report import Evaluation
    from ecgfl_cli.quality.rhythm import rhythm_beats

    console = console_of(context, "evaluate")
    recordings = named_recordings(console, files, follow_links=follow_links)
    reading = reading_of(
        console,
        file_format,
        lead,
        fs=fs,
        units=units,
        labels=labels,
        force=force,
        format_options=(WfdbOptions(assume_gain=True),),
        named=tuple(files),
        follow_links=follow_links,
    )
    reading = with_label_folder(console, reading, recordings, files)
    tested = [
        _model(console, model, reading.lead)
        if test is None
        else _annotations(test, model, recordings, files, reading.options),
        *([] if against is None else [_model(console, against, lead)]),
    ]
    _refuse_the_same_twice(tested)
    compared: list[dict[str, Comparison]] = [{} for _ in tested]
    failed: list[dict[str, object]] = []
    partly: dict[str, list[list[float]]] = {}
    for path in console.track(recordings, len(recordings), "evaluate"):
        try:
            recording = read(path, reading.format, reading.options_for(path))
            reference = reference_of(recording)
            spans = evaluated_spans(
                recording, rhythm_beats(recording, reading.lead), as_it_stands=test is not None
            )
            comparisons = [
                assess(recording, reference, each.annotate(path, recording), spans)
                for each in tested
            ]
        except Exception as error:  # noqa: BLE001 - the other files are evaluated whatever the error is
            problem = str(
                error if isinstance(error, AdapterError | EcgflError) else of_one_file(path, error)
            )
            console.problem(problem)
            failed.append({"file": path, "error": problem})
            continue
        name = recording.name if recording.name not in compared[0] else str(path)
        part = sum(stop - start for start, stop in spans.tolist()) / recording.fs
        if recording.seconds - part > LEARNING_PERIOD_S + 1:
            partly[name] = [
                [start / recording.fs, stop / recording.fs] for start, stop in spans.tolist()
            ]
            console.problem(
                f"{path}: its labels cover {part:.0f} of the {recording.seconds - LEARNING_PERIOD_S:.0f} s after the learning "
                "period; only that part is evaluated"
            )
        for records, comparison in zip(compared, comparisons, strict=True):
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


def _model(console: Console, version: str | None, lead: str | None) -> Tested:
    from ecgfl_cli.federation.site.setup import registry_of
    from ecgfl_cli.prediction.pipeline import Classifier

    classifier = Classifier(registry_of(console.home, version), version)
    return Tested(
        classifier.manifest.version,
        lambda _, recording: classifier.predict(recording, lead).labels(),
    )


def _annotations(
    test: str, model: str | None, recordings: list[Path], named: list[Path], options: "ReadOptions"
) -> Tested:
    from ecgfl_adapters.label_folder import label_folder
    from ecgfl_adapters.label_origin import ANNOTATOR

    from ecgfl_cli.errors import UsageError
    from ecgfl_cli.evaluation.label_source import existing_labels

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

    def annotate(path: Path, recording: "Recording") -> "Sequence[BeatLabel]":
        return existing_labels(path, recording, options, test, folder)

    return Tested(test, annotate)


def _refuse_the_same_twice(tested: list[Tested]) -> None:
    from ecgfl_cli.errors import UsageError

    if len({each.name for each in tested}) < len(tested):
        raise UsageError(
            f"--against {tested[0].name}: the model to compare it with is that version itself",
            "Give another; `ecgfl model list` shows them",
        )


def _show(console: Console, tested: Tested, evaluation: "Evaluation") -> None:
    from ecgfl_cli.evaluation.report import matrix_text
    from ecgfl_cli.evaluation.tables import gross_table, qrs_table, veb_table

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


def _show_pair(console: Console, a: Tested, b: Tested, paired: "PairedEvaluation") -> None:
    from ecgfl_cli.evaluation.tables import difference_table, errors_text, side_by_side_table

    console.table(*side_by_side_table(f"VEB, A = {a.name}, B = {b.name}", paired))
    console.table(*difference_table("Gross of both, with intervals by paired bootstrap", paired))
    console.block(errors_text(paired))
