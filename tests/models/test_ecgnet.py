"""The reference network is the one that DESIGN.md states."""

import numpy as np
import pytest
import torch
from torch import nn

from ecgfl_cli.errors import UsageError
from ecgfl_cli.models.architecture import architecture, names


def test_ecgnet_has_exactly_its_layers() -> None:
    ecgnet = architecture("ecgnet")
    layers = [layer for layer in ecgnet.build() if not isinstance(layer, nn.Unflatten | nn.Flatten)]
    assert [type(layer) for layer in layers] == [
        nn.Conv1d,
        nn.ReLU,
        nn.MaxPool1d,
        nn.Linear,
        nn.Linear,
    ]
    convolution, _, pool, hidden, last = layers
    assert (convolution.in_channels, convolution.out_channels, convolution.kernel_size) == (
        1,
        16,
        (5,),
    )
    assert (convolution.stride, convolution.padding, pool.kernel_size) == ((1,), (0,), 2)
    assert (hidden.in_features, hidden.out_features) == (1440, 128)
    assert (last.in_features, last.out_features) == (128, 2)


def test_ecgnet_has_184802_weights() -> None:
    assert (
        sum(value.numel() for value in architecture("ecgnet").build().state_dict().values())
        == 184_802
    )


def test_ecgnet_takes_185_samples_and_gives_two_logits() -> None:
    ecgnet = architecture("ecgnet")
    assert ecgnet.window.length == 185
    assert len(ecgnet.inputs) == 1
    assert ecgnet.build()(torch.zeros(7, 185)).shape == (7, 2)


def test_ecgnet_is_trained_as_the_design_states() -> None:
    ecgnet = architecture("ecgnet")
    assert (ecgnet.learning_rate, ecgnet.local_epochs) == (1e-3, 3)


def test_architectures_declare_the_inputs_of_their_networks() -> None:
    from ecgfl_cli.beats.beats import detected_beats
    from ecgfl_cli.demo.synthesiser import synthesise

    recording = synthesise(1, 30, 250)
    for name in names():
        declared = architecture(name)
        assert declared.name == name
        beats = detected_beats(recording, recording.leads[:1], declared.window)[0]
        inputs = [
            torch.from_numpy(np.nan_to_num(getattr(beats, field))) for field in declared.inputs
        ]
        assert declared.build()(*inputs).shape == (beats.samples.size, declared.kinds)


def test_an_unknown_architecture_is_refused_with_those_there_are() -> None:
    with pytest.raises(UsageError, match=r"no architecture 'transformer'.*ecgnet"):
        architecture("transformer")
