"""Which patients are held out: decided per patient, once, and the same on every run."""

from ecgfl_cli.store.catalogue import RecordRow, Split

HELD_OUT_SHARE = 0.2


def new_splits(rows: list[RecordRow], known: dict[str, Split]) -> dict[str, Split]:
    """Splits for the patients of usable records that have none yet.

    Patients with PVCs and patients without are dealt out separately, each in the order of their pseudonyms (which is
    arbitrary): of each kind one in five is held out, the third first, so that even a small site measures on PVCs.
    """
    has_pvc: dict[str, bool] = {}
    for row in rows:
        if row.status == "usable":
            has_pvc[row.patient] = has_pvc.get(row.patient, False) or row.counts.get("V", 0) > 0
    decided: dict[str, Split] = {}
    for kind in (True, False):
        patients = sorted(patient for patient, pvc in has_pvc.items() if pvc is kind)
        dealt = [known[patient] for patient in patients if patient in known]
        for patient in patients:
            if patient in known:
                continue
            held_out = dealt.count("held-out") < round(HELD_OUT_SHARE * (len(dealt) + 1))
            decided[patient] = "held-out" if held_out else "train"
            dealt.append(decided[patient])
    return decided
