"""The decoder's layers and the gate in front of an id's share."""

from __future__ import annotations

import pytest
import torch

from recall.model.config import DecoderConfig
from recall.model.dhe import Decoder, FrequencyGate


def test_gate_is_exactly_zero_at_count_zero_whatever_it_learned() -> None:
    gate = FrequencyGate(8)
    with torch.no_grad():
        gate.raw.copy_(torch.linspace(-30, 30, 8))
    assert (gate(torch.zeros(3)) == 0).all()


def test_gate_grows_with_the_count_and_stays_below_one() -> None:
    shares = FrequencyGate(4)(torch.tensor([0.0, 1.0, 2.0, 10.0, 100.0, 1e4, 1e9]))
    assert (shares.diff(dim=0) > 0).all()
    assert (shares < 1).all()


def test_gate_starts_at_about_half_after_ten_sightings() -> None:
    # 1 - 11^-.3 = .513
    shares = FrequencyGate(2)(torch.tensor([10.0]))
    assert shares[0].tolist() == pytest.approx([1 - 11**-0.3] * 2, abs=1e-5)


def test_gate_can_learn() -> None:
    gate = FrequencyGate(2)
    gate(torch.tensor([0.0, 5.0])).sum().backward()  # type: ignore[no-untyped-call]
    assert gate.raw.grad is not None
    assert torch.isfinite(gate.raw.grad).all()
    assert (gate.raw.grad > 0).all()


@pytest.mark.parametrize(("depth", "norm"), [(0, "batch"), (1, "layer"), (2, "batch"), (3, "none")])
def test_decoder_has_the_layers_asked_for(depth: int, norm: str) -> None:
    decoder = Decoder(6, 4, DecoderConfig.model_validate({"width": 5, "depth": depth, "norm": norm}))
    linears = [layer for layer in decoder.modules() if isinstance(layer, torch.nn.Linear)]
    assert [(layer.in_features, layer.out_features) for layer in linears] == [
        *[(5 if place else 6, 5) for place in range(depth)],
        (5 if depth else 6, 4),
    ]
    assert sum(isinstance(layer, torch.nn.Mish) for layer in decoder.modules()) == depth
    assert decoder(torch.randn(3, 6)).shape == (3, 4)


def test_embedding_uses_running_statistics_so_rows_do_not_see_each_other() -> None:
    decoder = Decoder(6, 4, DecoderConfig(width=16, depth=2))
    codes = torch.randn(32, 6) * 3 + 1
    decoder.train()
    decoder(codes)
    decoder.eval()
    alone = torch.cat([decoder(codes[row : row + 1]) for row in range(32)])
    torch.testing.assert_close(decoder(codes), alone)
    torch.testing.assert_close(decoder(torch.cat([codes, 100 * codes]))[:32], alone)


def test_batch_of_one_is_normalised_by_what_was_learned() -> None:
    decoder = Decoder(6, 4, DecoderConfig(width=16, depth=1))
    decoder(torch.randn(64, 6))
    code = torch.randn(1, 6)
    before = {name: value.clone() for name, value in decoder.state_dict().items()}
    in_training = decoder.train()(code)
    torch.testing.assert_close(in_training, decoder.eval()(code))
    assert in_training.requires_grad
    for name, value in decoder.state_dict().items():
        torch.testing.assert_close(value, before[name])
