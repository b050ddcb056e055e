"""A bad reply is dropped and named. The run goes on if enough good replies are left."""

from collections.abc import Callable

import numpy as np
import pytest
from fake_rounds import LENGTH, Rounds
from federation_homes import Homes
from flwr.app import Array, ArrayRecord, Error, MetricRecord, RecordDict

from ecgfl_cli.federation.coordinator.rounds.replies import RoundFailed
from ecgfl_cli.federation.flower.codec import arrays_of as weights_record
from ecgfl_cli.models.packing import pack

METRICS = {"num-examples": 100, "pvcs": 5, "loss": 0.5}


@pytest.fixture
def training(homes: Homes) -> Rounds:
    """Round 1 of a run."""
    rounds = Rounds(homes)
    rounds.begin()
    return rounds


def content(value: float = 9.0, length: int = LENGTH, **metrics: object) -> RecordDict:
    vector = np.full(length, value, np.float32)
    return RecordDict(
        {"metrics": MetricRecord({**METRICS, **metrics}), "arrays": weights_record(vector)}
    )  # type: ignore[dict-item]


def with_arrays(**arrays: Array) -> RecordDict:
    return RecordDict({"metrics": MetricRecord(METRICS), "arrays": ArrayRecord(arrays)})  # type: ignore[arg-type]


def raw(data: bytes, stype: str = "numpy.ndarray") -> RecordDict:
    return with_arrays(flat=Array("float32", (LENGTH,), stype, data))


def without(name: str) -> RecordDict:
    metrics = {key: value for key, value in METRICS.items() if key != name}
    return RecordDict(
        {"metrics": MetricRecord(metrics), "arrays": weights_record(np.zeros(LENGTH, np.float32))}
    )  # type: ignore[arg-type]


FLAT = Array(np.zeros(LENGTH, np.float32))
NAN = np.zeros(LENGTH, np.float32)
NAN[7] = np.nan
BAD: dict[str, Callable[[], RecordDict | Error]] = {
    "nan": lambda: with_arrays(flat=Array(NAN)),
    "infinite": lambda: content(float("inf")),
    "too-short": lambda: content(length=LENGTH - 1),
    "too-long": lambda: content(length=LENGTH + 1),
    "no-weights": lambda: content(length=0),
    "extra-array": lambda: with_arrays(flat=FLAT, more=FLAT),
    "another-name": lambda: with_arrays(weights=FLAT),
    "float64": lambda: with_arrays(flat=Array(np.zeros(LENGTH))),
    "matrix": lambda: with_arrays(flat=Array(np.zeros((2, LENGTH // 2), np.float32))),
    "no-arrays": lambda: RecordDict({"metrics": MetricRecord(METRICS)}),  # type: ignore[arg-type]
    "no-metrics": lambda: RecordDict({"arrays": weights_record(np.zeros(LENGTH, np.float32))}),
    "no-examples": lambda: without("num-examples"),
    "negative-loss": lambda: content(loss=-1.0),
    "extra-metric": lambda: content(patient=7),
    "zero-examples": lambda: content(**{"num-examples": 0}),
    "negative-examples": lambda: content(**{"num-examples": -100}),
    "fraction-of-examples": lambda: content(**{"num-examples": 100.0}),
    "absurd-examples": lambda: content(**{"num-examples": 2**40}),
    "list-of-examples": lambda: content(**{"num-examples": [100]}),
    "nan-loss": lambda: content(loss=float("nan")),
    "nothing": lambda: RecordDict(),
    "error": lambda: Error(9005, "refused"),
    "no-bytes": lambda: raw(b""),
    "cut-off": lambda: raw(FLAT.data[:1000]),
    "a-pickle": lambda: raw(b"\x80\x04K\x01."),
    "a-zip": lambda: raw(b"PK\x03\x04" + bytes(99)),
    "a-shape-of-petabytes": lambda: raw(
        FLAT.data[:10]
        + b"{'descr': '<f4', 'fortran_order': False, 'shape': (10000000000000000,), }".ljust(118)
    ),
    "another-kind": lambda: raw(FLAT.data, "torch.save"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_reply_is_dropped_and_named(training: Rounds, name: str) -> None:
    training.aggregate(
        training.good(1, 1.0), training.answer(2, BAD[name]()), training.good(3, 4.0, examples=200)
    )
    result = training.last
    assert result.sites == ["alice", "carol"]
    assert (len(result.dropped), result.examples) == (1, 300)
    assert result.dropped[0].site == "bob"
    assert any(line.startswith("reply dropped: bob: ") for line in training.said)
    stored = pack(training.registry.load(result.version)[1])
    np.testing.assert_allclose(stored, 3.0, atol=1e-6)


def test_an_error_is_named_by_its_code_only(training: Rounds) -> None:
    secret = Error(9005, "/home/st-mary/john-doe.edf")
    training.aggregate(training.good(1, 1.0), training.answer(2, secret), training.good(3, 1.0))
    assert "9005" in training.dropped[0]
    assert "john-doe" not in "".join([*training.said, *training.dropped])


def test_too_few_good_replies_fail_the_round(training: Rounds) -> None:
    before = training.checkpoints.latest
    with pytest.raises(RoundFailed, match="1 usable"):
        training.aggregate(
            training.good(1, 1.0),
            training.answer(2, BAD["nan"]()),
            training.answer(3, BAD["error"]()),
        )
    assert training.checkpoints.latest is before
    assert [entry.manifest for entry in training.registry.entries()] == [before.manifest]
    training.registry.load(before.manifest.version)


def test_no_reply_at_all_fails_the_round(training: Rounds) -> None:
    with pytest.raises(RoundFailed):
        training.aggregate()


def test_the_largest_finite_weights_do_not_break_the_sum(training: Rounds) -> None:
    training.aggregate(training.good(1, 3.4e38), training.good(2, 3.4e38), training.good(3, 3.4e38))
    assert training.last.sites == ["alice", "bob", "carol"]


def test_a_good_round_weights_by_examples(training: Rounds) -> None:
    training.aggregate(
        training.good(1, 1.0, 100), training.good(2, 2.0, 200), training.good(3, 5.0, 300)
    )
    stored = pack(training.registry.load(training.last.version)[1])
    np.testing.assert_allclose(stored, (100 + 400 + 1500) / 600, atol=1e-6)
