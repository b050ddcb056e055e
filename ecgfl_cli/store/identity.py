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
    by_place = staged.patient_by == "place"
    row = replace(staged.row, patient=catalogue.patient_behind(staged.row.patient))
    if staged.namesake:
        catalogue.follow_split(row.patient, staged.namesake)
    if before is not None:
        moves = before.patient != row.patient and before.patient in staged.earlier
        if before.source != row.source or (
            by_place and before.patient != row.patient and not moves
        ):
            findings.append(_duplicate(row, before))
        elif moves:
            catalogue.follow_split(row.patient, before.patient)
            before = replace(before, patient=row.patient)
        elif before.patient != row.patient:
            if staged.patient_by == "file":
                findings.append(_two_identifiers(row, before.patient, "the same signal"))
            catalogue.unite(row.patient, before.patient)
        row = replace(row, patient=before.patient, source=before.source)
    others = [
        other
        for other in catalogue.rows_like(row.patient, row.person)
        if other.record != row.record
    ]
    namesake = next((other for other in others if row.person and other.person == row.person), None)
    if namesake is not None and namesake.patient != row.patient:
        if staged.patient_by == "file":
            findings.append(_two_identifiers(row, namesake.patient, "the same name and birth date"))
        catalogue.unite(row.patient, namesake.patient)
        row = replace(row, patient=namesake.patient)
        others = [
            other
            for other in catalogue.rows_like(row.patient, row.person)
            if other.record != row.record
        ]
    other_persons = {
        other.person
        for other in others
        if other.patient == row.patient and other.person and row.person
    } - {row.person}
    if other_persons:
        findings.append(
            Finding(
                "two-persons",
                Severity.WARNING,
                f"patient {row.patient} stands for {len(other_persons) + 1} persons: one "
                "identifier, different names or birth dates",
                "Look for a placeholder that the recorder writes for every patient, and correct "
                "it at the source. Until then, all "
                "count as one patient.",
                value=float(len(other_persons) + 1),
                limit=1.0,
            )
        )
    if by_place and (is_unclear or catalogue.has_source_of_another(row.source, row.patient)):
        findings.append(_unclear())
    return row, sorted([*staged.findings, *findings], key=lambda finding: finding.severity.rank)


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
