"""What site.toml forbids is not done, and is refused before the site's data is touched."""

import pytest
from conftest import Homes
from test_site_distrusts_server import Server, no_data, refused, sound_vector  # noqa: F401

from ecgfl_cli.errors import EcgflError, PolicyRefused
from ecgfl_cli.federation.coordinator_home import load_signing_key
from ecgfl_cli.federation.wire import TrainRequest, request_content, weights_record


def under(homes: Homes, policy: str) -> Server:
    homes.site("alice").settings.write_text(f'[site]\nname = "alice"\n[policy]\n{policy}\n')
    return Server(homes, load_signing_key(homes.coordinator_home))


@pytest.mark.parametrize(
    "policy",
    [
        *('architectures = ["beatnet"]', "architectures = []", "max_rounds = 2", "max_local_epochs = 1"),
        *("max_learning_rate = 0.0005", "max_batch_size = 100"),
    ],
)
@pytest.mark.usefixtures("no_data")
def test_what_the_policy_forbids_is_refused_before_data_is_touched(homes: Homes, policy: str) -> None:
    server = under(homes, policy)
    signed = server.sign(server.manifest(sound_vector()))
    plan = TrainRequest(model=signed, epochs=2, learning_rate=1e-3, batch_size=256, seed=1)
    refused(server, request_content(plan, weights_record(sound_vector())), PolicyRefused)


def test_too_few_beats_are_refused(homes: Homes) -> None:
    server = under(homes, "min_training_beats = 100000")
    assert "min_training_beats" in refused(server, server.content(), PolicyRefused)


def test_an_architecture_that_is_allowed_but_not_installed_is_refused_in_words(homes: Homes) -> None:
    server = under(homes, 'architectures = ["ecgnet", "beatnet9"]')
    signed = server.sign(server.manifest(sound_vector(), architecture="beatnet9"))
    message = refused(server, server.content(signed=signed), EcgflError)
    assert "beatnet9" in message
