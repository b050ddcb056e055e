"""Times in signed requests and manifests."""

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from ecgfl_cli.errors import ServerRefused
from ecgfl_cli.federation.messages import Content, TrainRequest
from ecgfl_cli.federation.signed_requests import DOMAIN, REQUEST, SIGNATURE, read_request
from ecgfl_cli.models.manifest import time_text

EDGES = [
    "0001-01-01T00:00:00+00:00",
    "1999-12-31T23:59:59Z",
    "9001-01-01T00:00:00Z",
    "9999-12-31T23:59:59+00:00",
]


@pytest.mark.parametrize("time", [*EDGES, "0001-01-01T00:00:01+23:00", "9999-12-31T23:59:59-23:00"])
def test_manifests_have_times_of_usual_years(time: str) -> None:
    with pytest.raises(ValueError, match="2000 to 9000"):
        time_text(time)


@pytest.mark.parametrize("time", EDGES)
def test_a_request_at_the_edge_of_the_calendar(time: str) -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    usual: dict[str, Any] = {
        "kind": "train",
        "run": "r1",
        "site": "0" * 64,
        "id": "0" * 32,
        "content": {},
    }
    text = json.dumps({**usual, "issued": time, "expires": time})
    signature = base64.b64encode(key.sign(DOMAIN + text.encode())).decode()
    message = Content(texts={REQUEST: text, SIGNATURE: signature})
    with pytest.raises(ServerRefused, match="issued"):
        read_request(message, TrainRequest, key.public_key(), "0" * 64)
