"""A network as one flat vector, and back."""

import numpy as np
import pytest

from ecgfl_cli.errors import ModelRejected
from ecgfl_cli.models.architecture import architecture
from ecgfl_cli.models.packing import pack, unpack


def test_a_packed_network_unpacks_to_the_same_weights(network) -> None:
    other = architecture("ecgnet").build()
    assert not np.array_equal(pack(other), pack(network))
    unpack(other, pack(network))
    for one, another in zip(
        network.state_dict().values(), other.state_dict().values(), strict=True
    ):
        assert one.equal(another)


def test_every_weight_has_its_own_place() -> None:
    numbered = np.arange(184_802, dtype=np.float32)
    network = architecture("ecgnet").build()
    unpack(network, numbered)
    np.testing.assert_array_equal(pack(network), numbered)
    assert network.state_dict()["1.weight"].flatten()[:3].tolist() == [0.0, 1.0, 2.0]


@pytest.mark.parametrize("shape", [(0,), (184_801,), (184_803,), (184_802, 1)])
def test_a_vector_of_another_shape_is_rejected(shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelRejected, match="184802"):
        unpack(architecture("ecgnet").build(), np.zeros(shape, dtype=np.float32))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_value_that_is_not_finite_is_rejected(value: float) -> None:
    network = architecture("ecgnet").build()
    before = pack(network)
    vector = np.zeros(184_802, dtype=np.float32)
    vector[100] = value
    with pytest.raises(ModelRejected, match="not finite"):
        unpack(network, vector)
    np.testing.assert_array_equal(pack(network), before)
