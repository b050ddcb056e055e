"""Choose the held-out patients. The choice is made once per patient and never changes."""

from ecgfl_cli.store.catalogue import RecordRow, Split

HELD_OUT_SHARE = 0.2
"""Share of the patients that are held out."""


def new_splits(rows: list[RecordRow], known: dict[str, Split]) -> dict[str, Split]:
    """Return the splits of patients of usable records that have none yet.

    Patients with and without PVCs are assigned separately, in the order of their pseudonyms, which
    is arbitrary. In each group one in five is held out, beginning with the third, so that even a
    small site measures on PVCs.

    Parameters
    ----------
    rows : list of RecordRow
        All records.
    known : dict
        Patient -> split, for the patients that have one.
    """
    has_pvc: dict[str, bool] = {}
    for row in rows:
        if row.status == "usable":
            has_pvc[row.patient] = has_pvc.get(row.patient, False) or row.counts.get("V", 0) > 0
    splits: dict[str, Split] = {}
    for group in (True, False):
        patients = sorted(patient for patient, pvc in has_pvc.items() if pvc is group)
        assigned = [known[patient] for patient in patients if patient in known]
        for patient in patients:
            if patient in known:
                continue
            held_out = assigned.count("held-out") < round(HELD_OUT_SHARE * (len(assigned) + 1))
            splits[patient] = "held-out" if held_out else "train"
            assigned.append(splits[patient])
    return splits
