"""A site refuses a wrong request before it reads any data, and keeps its models."""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from federation_homes import Homes, ecgfl
from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict
from numpy.typing import NDArray

from ecgfl_cli.errors import EcgflError, ModelRejected, PolicyRefused, ServerRefused
from ecgfl_cli.federation.coordinator.home import load_signing_key
from ecgfl_cli.federation.flower.codec import arrays_of as weights_record
from ecgfl_cli.federation.flower.codec import content_of, record_of
from ecgfl_cli.federation.messages import CatchUpRequest, EvaluateRequest, Kind, TrainRequest
from ecgfl_cli.federation.signed_requests import DOMAIN, seal
from ecgfl_cli.federation.site import local_work
from ecgfl_cli.federation.site.participant import Participant
from ecgfl_cli.models.manifest import Manifest, SignedManifest, validity, weights_sha256
from ecgfl_cli.site.keys import fingerprint
from ecgfl_cli.site.outbox import Release, prepared
from ecgfl_cli.site.settings import load_settings

WEIGHTS = 184_802
CREATED, EXPIRES = validity(datetime.now(UTC))
Vector = NDArray[np.float32]


@dataclass
class Server:
    """A coordinator that may send what it likes, and the site that receives it."""

    homes: Homes
    key: ed25519.Ed25519PrivateKey

    def __post_init__(self) -> None:
        home = self.homes.site("alice")
        settings = load_settings(home.settings)
        self._participant = Participant(home, settings, self.homes.federation, "test")

    def manifest(self, vector: Vector, **changes: Any) -> dict[str, Any]:
        sound = Manifest(
            **{
                "version": "ecgnet-0005-abcdef01",
                "architecture": "ecgnet",
                "sequence": 5,
                "run": "r1",
                "round": 1,
                "rounds": 3,
            },
            **{
                "parent": None,
                "weights_sha256": weights_sha256(vector),
                "threshold": 0.5,
                "sites": 2,
                "examples": 10,
            },
            **{
                "parent_metrics": None,
                "created": CREATED,
                "expires": EXPIRES,
                "program": "ecgfl 0.1.0",
            },
        )
        return sound.model_dump(by_alias=True) | changes

    def sign(self, content: dict[str, Any]) -> SignedManifest:
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return SignedManifest(
            manifest=text, signature=base64.b64encode(self.key.sign(text.encode())).decode()
        )

    def content(
        self,
        kind: str = "train",
        vector: Vector | None = None,
        signed: SignedManifest | None = None,
    ) -> RecordDict:
        vector = sound_vector() if vector is None else vector
        signed = signed or self.sign(self.manifest(vector))
        if kind == "evaluate":
            return self.seal(EvaluateRequest(model=signed), vector)
        return self.seal(
            TrainRequest(model=signed, epochs=1, learning_rate=1e-3, batch_size=256, seed=1), vector
        )

    def seal(
        self,
        request: TrainRequest | EvaluateRequest | CatchUpRequest,
        vector: Vector,
        **changes: Any,
    ) -> RecordDict:
        """A request as the coordinator sends it to Alice. changes : other arguments of `seal`."""
        site = fingerprint(self.homes.site("alice").node_public_key)
        usual: dict[str, Any] = {"site": site, "run": "r1", "key": self.key, "phase_timeout": 60.0}
        return record_of(seal(request, vector, **{**usual, **changes}))

    def send(self, content: RecordDict, kind: str = "train") -> Release:
        return self._participant.answer(Kind(kind), content_of(content))

    def leaves(self, content: RecordDict, kind: str = "train") -> Release:
        """The reply as it leaves the site."""
        return prepared(self.send(content, kind), self._participant.steps, None)


def sound_vector(seed: int = 0) -> Vector:
    return np.random.default_rng(seed).normal(0, 0.05, WEIGHTS).astype(np.float32)


@pytest.fixture
def server(homes: Homes) -> Server:
    return Server(homes, load_signing_key(homes.coordinator_home))


@pytest.fixture
def no_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """Data that is touched fails the test."""

    def touched(*_: object) -> None:
        pytest.fail("the site's data was touched")

    monkeypatch.setattr(local_work, "load_dataset", touched)


def refused(
    server: Server, content: RecordDict, error: type[EcgflError], kind: str = "train"
) -> str:
    with pytest.raises(error) as raised:
        server.send(content, kind)
    assert server.homes.registry("alice").entries() == []
    assert server.homes.registry("alice").current() is None
    return str(raised.value)


KINDS = pytest.mark.parametrize("kind", ["train", "evaluate"])


@KINDS
def test_a_sound_request_is_answered(server: Server, kind: str) -> None:
    assert server.send(server.content(kind), kind).figures


@KINDS
@pytest.mark.usefixtures("no_data")
def test_a_model_signed_with_another_key_is_refused(server: Server, kind: str) -> None:
    server.key, right = ed25519.Ed25519PrivateKey.generate(), server.key
    signed = server.sign(server.manifest(sound_vector()))
    server.key = right
    assert "the model's signature" in refused(
        server, server.content(kind, signed=signed), ModelRejected, kind
    )


@pytest.mark.parametrize("signature", ["", "AAAA", "*", "A" * 88, "\u00e9" * 88])
@pytest.mark.usefixtures("no_data")
def test_a_signature_that_is_none_is_refused(server: Server, signature: str) -> None:
    signed = SignedManifest(
        manifest=server.sign(server.manifest(sound_vector())).manifest, signature=signature
    )
    refused(server, server.content(signed=signed), ModelRejected)


@KINDS
@pytest.mark.usefixtures("no_data")
def test_weights_that_are_not_the_signed_ones_are_refused(server: Server, kind: str) -> None:
    signed = server.sign(server.manifest(sound_vector(1)))
    assert "SHA-256" in refused(
        server, server.content(kind, sound_vector(2), signed), ModelRejected, kind
    )


@KINDS
@pytest.mark.usefixtures("no_data")
def test_an_architecture_outside_the_policy_is_refused(server: Server, kind: str) -> None:
    signed = server.sign(server.manifest(sound_vector(), architecture="transformer"))
    assert "transformer" in refused(
        server, server.content(kind, signed=signed), PolicyRefused, kind
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"extra": 1},
        {"sequence": -1},
        {"sequence": 1.5},
        *(
            {"sequence": 10**30},
            {"round": 10**30},
            {"rounds": 10**30},
            {"sites": 10**30},
            {"examples": 10**30},
        ),
        *(
            {"created": "yesterday"},
            {"created": "2026-01-01T00:00:00"},
            {"expires": "never"},
            {"expires": "2999-01-01T00:00:00+00:00"},
        ),
        {"rounds": 0},
        {"version": "../evil"},
        {"version": ".hidden"},
        {"threshold": 2},
        *(
            {"weights_sha256": "0"},
            {"schema": "ecgfl.model/2"},
            {"parent": 7},
            {"threshold": "0.5"},
            {"run": "a b"},
        ),
    ],
    ids=str,
)
@pytest.mark.usefixtures("no_data")
def test_a_manifest_that_breaks_the_schema_is_refused(
    server: Server, changes: dict[str, Any]
) -> None:
    signed = server.sign(server.manifest(sound_vector(), **changes))
    refused(server, server.content("evaluate", signed=signed), ModelRejected, "evaluate")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.usefixtures("no_data")
def test_weights_that_are_not_finite_are_refused_though_signed(
    server: Server, value: float
) -> None:
    vector = sound_vector()
    vector[100] = value
    assert "finite" in refused(server, server.content(vector=vector), ModelRejected)


@pytest.mark.parametrize("length", [0, 1, WEIGHTS - 1, WEIGHTS + 1])
@pytest.mark.usefixtures("no_data")
def test_weights_of_another_length_are_refused_though_signed(server: Server, length: int) -> None:
    refused(server, server.content(vector=np.zeros(length, np.float32)), ModelRejected)


def array(dtype: str, shape: tuple[int, ...], stype: str, data: bytes) -> Array:
    return Array(dtype, shape, stype, data)


ARRAYS: dict[str, Callable[[Vector], dict[str, ArrayRecord]]] = {
    "two-arrays": lambda v: {"arrays": ArrayRecord({"flat": Array(v), "more": Array(v)})},
    "another-name": lambda v: {"arrays": ArrayRecord({"round": Array(v)})},
    "two-records": lambda v: {"arrays": weights_record(v), "more": weights_record(v)},
    "no-record": lambda _: {},
    "float64": lambda v: {"arrays": ArrayRecord({"flat": Array(v.astype(np.float64))})},
    "matrix": lambda v: {"arrays": ArrayRecord({"flat": Array(v.reshape(2, -1))})},
    "no-bytes": lambda v: {
        "arrays": ArrayRecord({"flat": array("float32", v.shape, "numpy.ndarray", b"")})
    },
    "cut-off": lambda v: {
        "arrays": ArrayRecord(
            {"flat": array("float32", v.shape, "numpy.ndarray", Array(v).data[:1000])}
        )
    },
    "a-pickle": lambda v: {
        "arrays": ArrayRecord(
            {"flat": array("float32", v.shape, "numpy.ndarray", b"\x80\x04K\x01.")}
        )
    },
    "a-zip": lambda v: {
        "arrays": ArrayRecord(
            {"flat": array("float32", v.shape, "numpy.ndarray", b"PK\x03\x04" + bytes(99))}
        )
    },
    "another-kind": lambda v: {
        "arrays": ArrayRecord({"flat": array("float32", v.shape, "torch.save", Array(v).data)})
    },
}


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.usefixtures("no_data")
def test_anything_but_one_flat_float32_vector_is_refused(server: Server, name: str) -> None:
    content = server.content()
    others = {key: record for key, record in content.items() if key != "arrays"}
    refused(server, RecordDict({**others, **ARRAYS[name](sound_vector())}), ServerRefused)


def changed(text: str, **fields: Any) -> str:
    """A request with other values in its content."""
    envelope = json.loads(text)
    return json.dumps(envelope | {"content": envelope["content"] | fields})


TEXTS: dict[str, Callable[[str], Any]] = {
    "no-json": lambda _: "{",
    "empty": lambda _: "",
    "a-list": lambda _: "[]",
    "bytes": lambda text: text.encode(),
    "a-number": lambda _: 5,
    "too-long": lambda text: text + " " * 200_000,
    "a-field-more": lambda text: json.dumps(json.loads(text) | {"code": "import os"}),
    "a-field-less": lambda text: json.dumps(
        {name: value for name, value in json.loads(text).items() if name != "id"}
    ),
    "a-field-more-inside": lambda text: changed(text, code="import os"),
    "a-field-less-inside": lambda text: json.dumps(
        json.loads(text) | {"content": {"model": json.loads(text)["content"]["model"]}}
    ),
    "deeply-nested": lambda text: text.replace(
        '"epochs":1', f'"epochs":{"[" * 30_000}{"]" * 30_000}'
    ),
    "a-number-of-4000-digits": lambda text: text.replace('"seed":1', f'"seed":{"1" * 4_000}'),
    "a-number-of-9000-digits": lambda text: text.replace('"seed":1', f'"seed":{"1" * 9_000}'),
    "a-fraction-of-9000-digits": lambda text: text.replace(
        '"learning_rate":0.001', f'"learning_rate":{"1" * 9_000}.0'
    ),
    "half-a-character": lambda text: text.replace('"seed":1', '"seed":"\\ud800"'),
    "another-kind": lambda text: json.dumps(json.loads(text) | {"kind": "evaluate"}),
    "an-expiry-that-is-no-time": lambda text: json.dumps(json.loads(text) | {"expires": "soon"}),
    "an-expiry-without-a-zone": lambda text: json.dumps(
        json.loads(text) | {"expires": json.loads(text)["expires"][:19]}
    ),
    "valid-for-a-year": lambda text: json.dumps(
        json.loads(text) | {"expires": "2999-01-01T00:00:00+00:00"}
    ),
    "expired-when-issued": lambda text: json.dumps(
        json.loads(text) | {"expires": "1999-01-01T00:00:00+00:00"}
    ),
    **{
        f"{field}={value}": lambda text, field=field, value=value: changed(text, **{field: value})
        for field, value in [
            *(("epochs", 10**30), ("batch_size", 10**30), ("learning_rate", 1e30)),
            *(
                ("epochs", 0),
                ("epochs", -1),
                ("epochs", 1.5),
                ("epochs", "3"),
                ("epochs", True),
                ("seed", -1),
                ("seed", 2**40),
            ),
            *(
                ("learning_rate", 0),
                ("learning_rate", float("nan")),
                ("learning_rate", float("inf")),
                ("batch_size", 0),
            ),
            *(
                ("proximal_mu", -0.1),
                ("proximal_mu", 100.1),
                ("proximal_mu", float("nan")),
                ("proximal_mu", "1"),
            ),
        ]
    },
}


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.usefixtures("no_data")
def test_a_request_that_breaks_the_schema_is_refused(server: Server, name: str) -> None:
    """Though the coordinator has signed it."""
    content = server.content()
    text = TEXTS[name](content["config"]["ecgfl-request"])  # type: ignore[index]
    data = text.encode() if isinstance(text, str) else b""
    signature = base64.b64encode(server.key.sign(DOMAIN + data)).decode()
    content["config"] = ConfigRecord({"ecgfl-request": text, "ecgfl-signature": signature})
    refused(server, content, ServerRefused)


@pytest.mark.usefixtures("no_data")
def test_a_message_without_a_request_is_refused(server: Server) -> None:
    refused(server, RecordDict({"arrays": weights_record(sound_vector())}), ServerRefused)
    refused(
        server,
        RecordDict({"arrays": weights_record(sound_vector()), "config": ConfigRecord({})}),
        ServerRefused,
    )


def test_an_old_model_again_is_refused(server: Server) -> None:
    server.send(server.content("evaluate"), "evaluate")
    old = server.sign(server.manifest(sound_vector(9), sequence=4, version="ecgnet-0004-00000000"))
    with pytest.raises(PolicyRefused, match="old"):
        server.send(server.content("evaluate", sound_vector(9), old), "evaluate")
    assert [entry.manifest.sequence for entry in server.homes.registry("alice").entries()] == [5]


def test_a_version_never_changes_its_content(server: Server) -> None:
    server.send(server.content("evaluate"), "evaluate")
    other = server.sign(server.manifest(sound_vector(9)))
    with pytest.raises(ModelRejected, match="already"):
        server.send(server.content("evaluate", sound_vector(9), other), "evaluate")


@KINDS
def test_signed_weights_with_an_infinite_loss_are_refused(server: Server, kind: str) -> None:
    vector = np.full(WEIGHTS, 1e30, np.float32)
    with pytest.raises(EcgflError):
        server.send(server.content(kind, vector), kind)


def test_a_new_coordinator_may_count_from_one(server: Server) -> None:
    """After `init --federation` with another coordinator's file, old models do not matter."""
    server.send(server.content("evaluate"), "evaluate")
    new = ed25519.Ed25519PrivateKey.generate()
    from ecgfl_cli.models.manifest import public_key_text

    home = server.homes.site("alice")
    content = json.loads(home.federation.read_bytes()) | {
        "signing_public_key": public_key_text(new.public_key())
    }
    other = server.homes.folder / "other.json"
    other.write_text(json.dumps(content))
    home.federation.unlink()
    ecgfl(home.root, "init", "--site", "alice", "--federation", str(other))
    from ecgfl_cli.models.federation_file import load_federation

    server.key = new
    participant = Participant(
        home, load_settings(home.settings), load_federation(home.federation), "test"
    )
    signed = server.sign(
        server.manifest(sound_vector(3), sequence=1, version="ecgnet-0001-00000000")
    )
    content = content_of(server.content("evaluate", sound_vector(3), signed))
    assert participant.answer(Kind.EVALUATE, content).figures
