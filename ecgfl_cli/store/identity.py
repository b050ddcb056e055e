"""Compare the identity of a new recording with the store.

A recording may be a duplicate, a person may have two identifiers, and an identifier two persons.
"""

from dataclasses import replace

from ecgfl_cli.quality.findings import Finding, Severity
from ecgfl_cli.store.catalogue import Catalogue, RecordRow
from ecgfl_cli.store.stage import Staged

IDENTITY_CODES = {"duplicate-recording", "two-identifiers", "two-persons", "patient-unclear"}
UNCLEAR = "patient-unclear"


def identified(
    staged: Staged, before: RecordRow | None, catalogue: Catalogue, is_unclear: bool
) -> tuple[RecordRow, list[Finding]]:
    """Assign a recording to its patient, and return its findings.

    Recordings of one person become those of one patient, so that a split never divides them.
    Recordings that earlier versions took for one patient's because of a placeholder or a file name
    are separated, and stay in their split.

    Parameters
    ----------
    staged : Staged
        The recording.
    before : RecordRow or None
        Its row in the store.
    catalogue : Catalogue
        The store; its patients may be merged.
    is_unclear : bool
        Whether the place of the file may not identify the patient, if the file states none.

    Returns
    -------
    row : RecordRow
        The row, with its patient.
    findings : list of Finding
        Those of the file and those of `IDENTITY_CODES`, most severe first.
    """
    findings: list[Finding] = []
    row = replace(staged.row, patient=catalogue.patient_behind(staged.row.patient))
    if staged.namesake:
        catalogue.follow_split(row.patient, staged.namesake)
    if before is not None:
        row = _of_the_same_signal(staged, before, row, catalogue, findings)
    row = _of_the_same_person(staged, row, catalogue, findings)
    persons = {
        other.person
        for other in _others_like(row, catalogue)
        if other.patient == row.patient and other.person and row.person
    } - {row.person}
    if persons:
        findings.append(_two_persons(row, len(persons) + 1))
    if staged.patient_by == "place" and (
        is_unclear or catalogue.has_source_of_another(row.source, row.patient)
    ):
        findings.append(_unclear())
    return row, sorted([*staged.findings, *findings], key=lambda finding: finding.severity.rank)


def _of_the_same_signal(
    staged: Staged,
    before: RecordRow,
    row: RecordRow,
    catalogue: Catalogue,
    findings: list[Finding],
) -> RecordRow:
    """Return the row with the patient of the stored recording that has the same signal."""
    moves = before.patient != row.patient and before.patient in staged.earlier
    by_place = staged.patient_by == "place"
    if before.source != row.source or (by_place and before.patient != row.patient and not moves):
        findings.append(_duplicate(row, before))
    elif moves:
        catalogue.follow_split(row.patient, before.patient)
        return replace(row, source=before.source)
    elif before.patient != row.patient:
        if staged.patient_by == "file":
            findings.append(_two_identifiers(row, before.patient, "the same signal"))
        catalogue.unite(row.patient, before.patient)
    return replace(row, patient=before.patient, source=before.source)


def _of_the_same_person(
    staged: Staged, row: RecordRow, catalogue: Catalogue, findings: list[Finding]
) -> RecordRow:
    """Return the row with the patient of a recording that has the same name and birth date."""
    namesake = next(
        (
            other
            for other in _others_like(row, catalogue)
            if row.person and other.person == row.person
        ),
        None,
    )
    if namesake is None or namesake.patient == row.patient:
        return row
    if staged.patient_by == "file":
        findings.append(_two_identifiers(row, namesake.patient, "the same name and birth date"))
    catalogue.unite(row.patient, namesake.patient)
    return replace(row, patient=namesake.patient)


def _others_like(row: RecordRow, catalogue: Catalogue) -> list[RecordRow]:
    return [
        other
        for other in catalogue.rows_like(row.patient, row.person)
        if other.record != row.record
    ]


def _two_persons(row: RecordRow, persons: int) -> Finding:
    return Finding(
        "two-persons",
        Severity.WARNING,
        f"patient {row.patient} stands for {persons} persons: one identifier, different names or "
        "birth dates",
        "Look for a placeholder that the recorder writes for every patient, and correct it at the "
        "source. Until then, all count as one patient.",
        value=float(persons),
        limit=1.0,
    )


def _duplicate(row: RecordRow, before: RecordRow) -> Finding:
    return Finding(
        "duplicate-recording",
        Severity.WARNING,
        f"the store already has this signal as {before.record} of patient {before.patient}, from "
        "a file of another name "
        "or folder; it is kept once",
        "Nothing to do if the file was copied, moved or renamed. Otherwise one of the two files "
        "holds the wrong signal.",
        value=row.record,
    )


def _unclear() -> Finding:
    return Finding(
        "patient-unclear",
        Severity.WARNING,
        "the file states no patient identifier, and its name does not identify a person; it "
        "counts as a separate patient",
        "Ingest again with --patient folder if a folder has the recordings of one person "
        "(folder:2 is the folder above it), "
        "with --patient name if a name stands for one person in every folder, or --patient file "
        "if each file is another person.",
    )


def _two_identifiers(row: RecordRow, other: str, evidence: str) -> Finding:
    return Finding(
        "two-identifiers",
        Severity.WARNING,
        f"patient {row.patient} is also {other}: {evidence} under another identifier; both count "
        f"as {other}",
        "Nothing to do if it is one person. Otherwise correct the identifier, remove this record "
        "and ingest the file again.",
        value=row.patient,
        limit=other,
    )
