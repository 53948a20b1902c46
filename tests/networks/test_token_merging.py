"""Token merging: which tokens join which, by loops; and a UNet with it and without."""

import pytest
import torch

from atelier.networks.token_merging import merge_of, token_merging
from tests.sampling.cases import close
from tests.tiny import TinySizes, tiny_unet

TOKENS = torch.randn(2, 6 * 8, 5, generator=torch.Generator().manual_seed(3))


def joined_by_hand(tokens, height, width, ratio):
    """Groups of one picture: goal -> tokens that join it."""
    goals = [y * width + x for y in range(0, height // 2 * 2, 2) for x in range(0, width // 2 * 2, 2)]
    others = [t for t in range(height * width) if t not in goals]
    unit = tokens / tokens.norm(dim=-1, keepdim=True)
    best = {t: max(goals, key=lambda g: float(unit[t] @ unit[g])) for t in others}
    ranked = sorted(others, key=lambda t: -float(unit[t] @ unit[best[t]]))
    groups = {goal: [goal] for goal in goals}
    for token in ranked[: min(int(height * width * ratio), len(others))]:
        groups[best[token]].append(token)
    return groups


@pytest.mark.parametrize(("height", "width", "ratio"), [(6, 8, 0.5), (6, 8, 0.9), (4, 12, 0.1), (3, 16, 0.4)])
def test_the_most_alike_join_the_first_of_a_square(height, width, ratio):
    merge = merge_of(TOKENS, height, width, ratio)
    merged = merge.merged(TOKENS)
    back = merge.spread(merged, height * width)
    for picture in range(2):
        groups = joined_by_hand(TOKENS[picture], height, width, ratio)
        wanted = TOKENS[picture].clone()
        for members in groups.values():
            wanted[members] = TOKENS[picture][members].mean(0)
        close(back[picture], wanted)
    others = height * width - (height // 2) * (width // 2)
    assert merged.shape[1] == height * width - min(int(height * width * ratio), others)


def test_where_nothing_can_be_merged():
    assert merge_of(TOKENS, 6, 8, 0.01) is None and merge_of(TOKENS[:, :5], 1, 5, 0.5) is None


def test_inside_of_a_unet():
    unet = tiny_unet(TinySizes()).requires_grad_(False)
    x, text = torch.randn(2, 4, 8, 8), torch.randn(2, 3, 16)

    def run(rows=slice(None)):
        return unet(x[rows], torch.tensor([500.0]), encoder_hidden_states=text[rows], return_dict=False)[0]

    before, counts = run(), []
    attn = unet.down_blocks[0].attentions[0].transformer_blocks[0].attn1
    with token_merging(unet, 0.5):
        handle = attn.to_q.register_forward_pre_hook(lambda layer, args: counts.append(args[0].shape[1]))
        changed = run()
        close(run(slice(1, 2)), changed[1:], rtol=1e-4, atol=1e-5)
    handle.remove()
    assert counts == [32, 32] and not torch.allclose(changed, before)
    assert torch.equal(run(), before)
    with token_merging(unet, 0.0):
        assert torch.equal(run(), before)
