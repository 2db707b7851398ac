"""The decoder has the parameters that the plan counts, sees no later token, and starts the same everywhere."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from planner.launch.model import STD, Decoder, rotate  # noqa: E402
from planner.launch.settings import Model  # noqa: E402

SHAPES = [Model(2, 16, 2, 8, 32, 128), Model(3, 24, 4, 10, 40, 77), Model(1, 8, 1, 2, 8, 16)]


def made(shape: Model, seed: int = 0) -> Decoder:
    model = Decoder(shape)
    model.initialise(seed)
    return model


@pytest.mark.parametrize("shape", SHAPES)
def test_parameters_are_those_of_the_formula(shape):
    inner = shape.heads * shape.head_size
    attention = 3 * shape.width * inner + inner * shape.width
    layer = attention + 3 * shape.width * shape.ffn + 2 * shape.width
    expected = shape.vocabulary * shape.width + shape.layers * layer + shape.width
    assert sum(weight.numel() for weight in Decoder(shape).parameters()) == expected == shape.params


@pytest.mark.parametrize("position", [1, 5, 11])
def test_a_later_token_changes_no_earlier_logits(position):
    model, ids = made(SHAPES[0]), torch.arange(12).unsqueeze(0) % 128
    changed = ids.clone()
    changed[0, position] = 100
    before, after = model(ids), model(changed)
    torch.testing.assert_close(after[:, :position], before[:, :position])
    assert not torch.allclose(after[:, position:], before[:, position:])


def test_the_order_of_earlier_tokens_matters():
    model = made(SHAPES[0])
    one, other = model(torch.tensor([[3, 4, 5]])), model(torch.tensor([[4, 3, 5]]))
    assert not torch.allclose(one[0, -1], other[0, -1])


def test_rotation_keeps_lengths_and_depends_on_distance_alone():
    query, key = torch.randn(2, 16, generator=torch.Generator().manual_seed(0)).unbind()
    turned = rotate(torch.stack([query] * 9)), rotate(torch.stack([key] * 9))
    torch.testing.assert_close(turned[0].norm(dim=-1), query.norm().expand(9))
    torch.testing.assert_close(turned[0][0], query)
    products = turned[0] @ turned[1].T
    assert products[:, 0].std() > 0.01  # which distance, that is
    for distance in range(9):
        along = torch.diagonal(products, distance)
        torch.testing.assert_close(along, along[:1].expand_as(along), rtol=1e-4, atol=1e-4)


def test_initial_weights_are_of_the_seed_and_scaled():
    shape = Model(8, 64, 4, 16, 128, 512)
    model, same, other = made(shape, 1), made(shape, 1), made(shape, 2)
    weights = dict(model.named_parameters())
    for name, weight in same.named_parameters():
        assert torch.equal(weight, weights[name])
    assert not torch.equal(other.embedding.weight, model.embedding.weight)
    for name, weight in weights.items():
        if weight.ndim == 1:
            assert (weight == 1).all()
        else:
            residual = "out" in name or "down" in name
            assert weight.std().item() == pytest.approx(STD / math.sqrt(16) if residual else STD, rel=0.05)


def test_the_first_loss_is_that_of_a_guess():
    model, ids = made(SHAPES[0]), torch.arange(64).view(4, 16)
    loss = torch.nn.functional.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())
    assert loss.item() == pytest.approx(math.log(128), rel=0.02)
