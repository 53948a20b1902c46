"""FreeU against diffusers' formula and the paper's second one, inside a UNet and undone."""

import pytest
import torch
from diffusers.utils.torch_utils import apply_freeu

from atelier.networks.freeu import FreeUFactors, amplified, freeu, low_scaled
from tests.sampling.cases import close
from tests.tiny import TinySizes, tiny_unet

HIDDEN = torch.randn(2, 16, 6, 8, generator=torch.Generator().manual_seed(1))
SKIP = torch.randn(2, 8, 6, 8, generator=torch.Generator().manual_seed(2))


def test_the_first_version_is_that_of_diffusers():
    hidden, skip = apply_freeu(0, HIDDEN.clone(), SKIP.clone(), b1=1.4, s1=0.3, b2=0.0, s2=0.0)
    close(amplified(HIDDEN, 1.4, version=1), hidden)
    close(low_scaled(SKIP, 0.3), skip, atol=1e-5)
    assert low_scaled(SKIP.half(), 0.3).dtype == torch.float16


def test_the_second_version_follows_the_mean_over_channels():
    wanted = HIDDEN.clone()
    for picture in range(2):
        mean = HIDDEN[picture].mean(0)
        share = (mean - mean.min()) / (mean.max() - mean.min())
        wanted[picture, :8] *= 0.4 * share + 1
    close(amplified(HIDDEN, 1.4, version=2), wanted)
    assert torch.isfinite(amplified(torch.zeros(1, 4, 2, 2).half(), 1.4, version=2)).all()


@pytest.mark.parametrize("version", [1, 2])
def test_it_acts_where_skip_connections_meet_the_backbone(version):
    """Widths are 8, 16 and 32: the first two blocks on the way up are of four times the UNet's own, or of twice."""
    unet = tiny_unet(TinySizes(model_channels=8, channel_mult=(1, 2, 4))).requires_grad_(False)
    x, text = torch.randn(1, 4, 16, 16), torch.randn(1, 3, 16)

    def run():
        return unet(x, torch.tensor([500.0]), encoder_hidden_states=text, return_dict=False)[0]

    before, inputs, handles = run(), [], []
    for block in unet.up_blocks:
        handles += [r.register_forward_pre_hook(lambda r, args: inputs.append([args[0]])) for r in block.resnets]
    factors = FreeUFactors(1.3, 1.6, 0.9, 0.2, version)
    with freeu(unet, factors):
        for block in unet.up_blocks:
            handles += [r.register_forward_pre_hook(lambda r, args: inputs[-1].append(args[0])) for r in block.resnets]
        changed = run()
    for handle in handles:
        handle.remove()
    # (channels of the backbone, of the skip connection) by residual block
    meetings = [(32, 32), (32, 16), (32, 16), (16, 8), (16, 8), (8, 8)]
    assert len(inputs) == len(meetings)
    for (plain, weighed), (own, other) in zip(inputs, meetings):
        hidden, skip = plain.split([own, other], dim=1)
        b, s = {32: (1.3, 0.9), 16: (1.6, 0.2)}.get(own, (1.0, 1.0))
        close(weighed, torch.cat([amplified(hidden, b, version), low_scaled(skip, s)], 1), atol=1e-5)
    assert not torch.allclose(changed, before) and torch.equal(run(), before)
