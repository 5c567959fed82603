"""Attention layers against plain loops over the papers' equations."""

from __future__ import annotations

import math

import pytest
import torch

from models.attention import ClassAttention, DropPath, GatedPositionalAttention, Seen, SelfAttention
from models.task_attention import TaskAttention


@pytest.fixture(autouse=True)
def _seeded():
    torch.set_num_threads(1)
    torch.manual_seed(0)


def randomise(module: torch.nn.Module) -> None:
    """Weights large enough that attention is far from uniform, biases other than 0."""
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.5)


def seen(heads: int, patches: int, width: int) -> Seen:
    keys, values = torch.randn(2, 2, heads, patches, width)
    return Seen(keys, values, torch.randn(2, patches, heads, width), torch.randn(2, patches, heads, 4 * width))


def test_a_local_head_looks_at_its_own_offset_at_first():
    layer = GatedPositionalAttention(dim=48, heads=12, grid=(5, 6))
    looked_at = layer.position(layer.offsets).softmax(dim=1).argmax(dim=1)  # [P, heads]
    middle = 2 * 6 + 3
    expected = [middle + 6 * row + column for row in (-1, 0, 1) for column in (-1, 0, 1)]
    assert looked_at[middle, :9].tolist() == expected
    assert torch.equal(layer.value.weight, torch.eye(48))


def test_gated_attention_mixes_content_and_position_as_the_gate_says():
    layer = GatedPositionalAttention(dim=8, heads=2, grid=(2, 2))
    plain = SelfAttention(dim=8, heads=2)
    randomise(layer)
    plain.load_state_dict(layer.state_dict(), strict=False)
    x = torch.randn(3, 4, 8)
    layer.gate.data.fill_(-100)  # content only
    torch.testing.assert_close(layer(x)[0], plain(x)[0])
    layer.gate.data.fill_(100)  # position only: the same for every image
    assert layer.weights(x).std(dim=0).max() == 0
    layer.gate.data.normal_()
    torch.testing.assert_close(layer.weights(x).sum(dim=-1), torch.ones(3, 2, 4))


@pytest.mark.parametrize("gated", [False, True])
def test_joint_attention_is_one_softmax_over_all_heads_and_patches(gated):
    layer = GatedPositionalAttention(8, 2, (2, 2), joint=True) if gated else SelfAttention(8, 2, joint=True)
    randomise(layer)
    x, older = torch.randn(2, 4, 8), [seen(3, 4, 4), seen(1, 4, 4)]
    attended, key, value = layer(x, older)
    query = layer.query_key(x)[..., :8]
    gate = layer.gate.sigmoid() if gated else torch.zeros(2)
    out = torch.zeros(2, 4, 8)
    for n in range(2):
        # 3 + 1 + 2 heads of 4 patches
        keys = torch.cat([older[0].keys[n], older[1].keys[n], key[n]]).flatten(0, 1)
        values = torch.cat([older[0].values[n], older[1].values[n], value[n]]).flatten(0, 1)
        for head in range(2):
            for p in range(4):
                content = (keys @ query[n, p, 4 * head : 4 * head + 4] / math.sqrt(4)).softmax(0)
                part = (1 - gate[head]) * content @ values
                if gated:
                    position = (layer.offsets[p] @ layer.position.weight[head]).softmax(0)
                    part = part + gate[head] * position @ value[n, head]
                out[n, p, 4 * head : 4 * head + 4] = part
    torch.testing.assert_close(attended, layer.output(out))
    torch.testing.assert_close(layer.weights(x, older).sum(dim=-1), torch.ones(2, 2, 4))


def test_older_experts_are_invisible_unless_joint():
    layer = GatedPositionalAttention(8, 2, (2, 2))
    x = torch.randn(2, 4, 8)
    assert torch.equal(layer(x, [seen(3, 4, 4)])[0], layer(x)[0])


def test_all_tokens_in_one_pass_equal_a_pass_for_each():
    layer = ClassAttention(8, 2)
    randomise(layer)
    tokens, patches = torch.randn(2, 3, 8), torch.randn(2, 5, 8)
    one_by_one = [layer(token, patches)[0] for token in tokens.split(1, dim=1)]
    torch.testing.assert_close(layer.all_tokens(tokens, patches), torch.cat(one_by_one, dim=1))


@pytest.mark.parametrize("new_heads", [1, 2])
def test_task_attention_follows_equations_19_to_23(new_heads):
    layer = TaskAttention(old_heads=3, new_heads=new_heads, inputs=4, outputs=6)
    assert layer.scale == 3  # lambda starts at the number of old heads
    randomise(layer)
    new, older = torch.randn(2, 5, new_heads, 4), [torch.randn(2, 5, 2, 4), torch.randn(2, 5, 1, 4)]
    every = torch.cat([*older, new], dim=2)
    expected = torch.zeros(2, 5, new_heads, 6)
    for n in range(2):
        for p in range(5):
            keys = [layer.key.weight @ s for s in every[n, p]]
            values = [layer.value[:, j] @ s + layer.bias[j] for j, s in enumerate(every[n, p])]
            for i in range(new_heads):
                query = layer.query.weight @ new[n, p, i]
                attention = torch.stack([query @ k / math.sqrt(4) for k in keys]).softmax(0)
                expected[n, p, i] = layer.scale * sum(a * v for a, v in zip(attention, values, strict=True))
    torch.testing.assert_close(layer(new, older), expected)
    layer.fused = True
    torch.testing.assert_close(layer(new, older), expected, rtol=0, atol=1e-5)


def test_drop_path_drops_whole_images_and_keeps_the_mean():
    layer = DropPath(0.25)
    branch = torch.ones(4000, 3)
    dropped = layer(branch)
    assert set(dropped.unique().tolist()) == {0.0, torch.tensor(1 / 0.75).item()}
    assert torch.equal(dropped.min(dim=1).values, dropped.max(dim=1).values)
    assert abs(dropped.mean() - 1) < 0.05
    assert layer.eval()(branch) is branch


def test_heads_must_divide_the_dimension():
    with pytest.raises(ValueError, match="5 heads do not divide"):
        SelfAttention(dim=12, heads=5)
