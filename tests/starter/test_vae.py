"""The autoencoder's training parts, on random weights."""

import torch

from starter.models import build_vae
from starter.progress import Progress
from starter.train_vae import Options, picture_loss, squares_loss, train_decoder, whiten


def test_loss_is_nothing_for_the_same_picture_and_grows_with_blur():
    picture = torch.rand(1, 3, 32, 32)
    blurred = torch.nn.functional.avg_pool2d(picture, 3, 1, 1)
    assert float(picture_loss(picture, picture)) == 0
    assert float(picture_loss(blurred, picture)) > 0.1


def test_squares_count_alike_in_easy_and_hard_pictures():
    wanted = torch.zeros(2, 3, 8, 8)
    far, near = torch.full_like(wanted, 0.4), torch.full_like(wanted, 0.2)
    mixed = torch.stack([far[0], near[0]])
    losses = [float(squares_loss(shown, wanted)) for shown in (far, near, mixed)]
    assert abs(losses[2] - (losses[0] + losses[1]) / 2) < 1e-5 and losses[1] < losses[0] - 1.2


def test_whitened_latents_have_mean_0_and_variance_1_and_decode_alike():
    torch.manual_seed(0)
    vae = build_vae().eval()
    pictures = torch.rand(6, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        before = vae.quant_conv(vae.encoder(pictures))[:, :4]
        shown = vae.decoder(vae.post_quant_conv(before))
        whiten(vae, before)
        after = vae.quant_conv(vae.encoder(pictures))[:, :4]
        again = vae.decoder(vae.post_quant_conv(after))
    scaled = (after * 0.18215).permute(1, 0, 2, 3).reshape(4, -1)
    assert scaled.mean(1).abs().max() < 1e-2
    assert torch.allclose(scaled @ scaled.T / scaled.shape[1], torch.eye(4), atol=0.05)
    assert torch.allclose(shown, again, atol=1e-3)


def test_decoder_only_leaves_the_latents_as_they_are(tmp_path):
    class Grey:
        def telling(self, number: int) -> torch.Tensor:
            return torch.zeros(number, 3, 32, 32)

        def whole(self) -> torch.Tensor:
            return torch.zeros(1, 3, 32, 32)

    torch.manual_seed(0)
    vae = build_vae()
    encoder = {key: value.clone() for key, value in vae.encoder.state_dict().items()}
    decoder = vae.decoder.conv_out.weight.clone()
    train_decoder(vae, Grey(), Options(minutes=0.01, crop=32), Progress(tmp_path / "log"), tmp_path / "vae.safetensors")
    assert all(torch.equal(value, encoder[key]) for key, value in vae.encoder.state_dict().items())
    assert not torch.equal(vae.decoder.conv_out.weight, decoder)
    assert (tmp_path / "vae.safetensors").exists()
