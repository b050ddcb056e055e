"""Convert between ecgfl's messages and Flower's.

In a Flower message, the texts are strings of the config record CONFIG, the figures are the metric
record METRICS, and the head of the audit log is the metric record AUDIT. The array record ARRAYS
holds the weights as the array FLAT, or a masked update as the array MASKED.
"""

from collections.abc import Mapping
from io import BytesIO
from typing import Any

import numpy as np
from flwr.app import (
    DEFAULT_TTL,
    Array,
    ArrayRecord,
    ConfigRecord,
    Message,
    Metadata,
    MetricRecord,
    RecordDict,
)
from numpy.lib import format as npy
from numpy.typing import NDArray

from ecgfl_cli.federation.messages import AUDIT, Content

ARRAYS, FLAT, CONFIG, METRICS = "arrays", "flat", "config", "metrics"
MASKED = "masked"
STYPE = "numpy.ndarray"
HEADER_BYTES = 128
FLOAT32, UINT32 = np.dtype("<f4"), np.dtype("<u4")
"""Arrays in a message are little-endian, after the header of numpy's format 1.0."""


def arrays_of(weights: NDArray[np.floating[Any]]) -> ArrayRecord:
    """Return weights, shape (n,), as the array record of a message."""
    return ArrayRecord({FLAT: Array(weights)})


def record_of(content: Content, arrays: ArrayRecord | None = None) -> RecordDict:
    """Return the content of a message as Flower's records.

    Parameters
    ----------
    content
        Content of the message.
    arrays
        The weights as a record, if they were converted before: messages may share them.
    """
    record = RecordDict()
    if content.figures:
        record[METRICS] = MetricRecord(dict(content.figures))
    if arrays is None and content.weights is not None:
        arrays = arrays_of(content.weights)
    if content.masked is not None:
        arrays = ArrayRecord({MASKED: Array(content.masked)})
    if arrays is not None:
        record[ARRAYS] = arrays
    if content.texts:
        record[CONFIG] = ConfigRecord(dict(content.texts))
    if content.audit is not None:
        record[AUDIT] = MetricRecord(dict(content.audit))
    return record


def content_of(record: RecordDict) -> Content:
    """Return the content of a received message.

    Nothing in it is trusted. Texts, figures and weights are converted, not checked further. If they
    have another form than ecgfl's, `Content.problem` says so.
    """
    texts: dict[str, str] = {}
    audit: dict[str, Any] | None = None
    try:
        texts = {name: text for name, text in _texts(record).items() if isinstance(text, str)}
        if AUDIT in record.metric_records:
            audit = dict(record.metric_records[AUDIT])
        return Content(
            texts,
            _figures(record),
            _array(record, FLAT, FLOAT32),
            _array(record, MASKED, UINT32),
            audit,
        )
    except Exception as error:  # noqa: BLE001 - whatever a peer sends, it must not end the run
        return Content(texts, audit=audit, problem=str(error) or type(error).__name__)


def message_from(record: RecordDict, kind: str) -> Message:
    """Return a message that is not sent: for Flower's strategies, or to measure its size."""
    metadata = Metadata(
        run_id=0,
        message_id="",
        src_node_id=0,
        dst_node_id=0,
        reply_to_message_id="",
        group_id="",
        created_at=0.0,
        ttl=DEFAULT_TTL,
        message_type=kind,
    )
    return Message(content=record, metadata=metadata)  # type: ignore[call-overload,no-any-return]


def _texts(record: RecordDict) -> Mapping[str, object]:
    return record.config_records.get(CONFIG, {})


def _figures(record: RecordDict) -> dict[str, Any]:
    names = set(record.metric_records) - {AUDIT}
    if not names <= {METRICS}:
        raise ValueError(f"metric records {sorted(names)}")
    return dict(record.metric_records.get(METRICS, {}))


def _array(record: RecordDict, name: str, dtype: np.dtype[Any]) -> NDArray[Any] | None:
    """Return the flat vector of a message with this name and type; None if it has none.

    A message has at most one array.
    """
    records = record.array_records
    if not records:
        return None
    if set(records) != {ARRAYS} or set(records[ARRAYS]) not in ({FLAT}, {MASKED}):
        raise ValueError(
            f"expected one array {ARRAYS}/{FLAT} or {ARRAYS}/{MASKED}, got "
            f"{[(name, list(arrays)) for name, arrays in records.items()]}"
        )
    if name not in records[ARRAYS]:
        return None
    array = records[ARRAYS][name]
    if array.stype != STYPE:
        raise ValueError(f"array of kind {array.stype!r}")
    # The header is compared, not parsed: numpy evaluates it as a Python expression.
    length, rest = divmod(len(array.data) - HEADER_BYTES, dtype.itemsize)
    if length < 0 or rest or array.data[:HEADER_BYTES] != _header(length, dtype):
        raise ValueError(
            f"expected a flat {dtype.name} vector in numpy's format, got "
            f"{len(array.data)} bytes of something else"
        )
    vector = np.frombuffer(array.data, dtype=dtype, offset=HEADER_BYTES)
    return vector.astype(dtype.newbyteorder("="))


def _header(length: int, dtype: np.dtype[Any]) -> bytes:
    """Return what `numpy.save` writes before a vector of this length and type."""
    header = BytesIO()
    npy.write_array_header_1_0(
        header, {"descr": dtype.str, "fortran_order": False, "shape": (length,)}
    )
    return header.getvalue()
