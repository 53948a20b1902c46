"""OpenTower: a small OpenCLIP text tower of random weights under the original's names, and the same in transformers."""

from __future__ import annotations

import torch
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModelWithProjection

from tests.tiny import VOCABULARY


class OpenTower(nn.Module):
    """The text side of OpenCLIP as its paper describes it: causal blocks with the norm in front, GELU, a projection.

    Independent of transformers, so that what is read from a file can be held against it.
    """

    def __init__(self, width: int = 16, layers: int = 2, heads: int = 2, projection: int = 16, seed: int = 7) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.token_embedding = nn.Embedding(VOCABULARY, width)
        self.positional_embedding = nn.Parameter(torch.randn(77, width) * 0.1)
        self.transformer = nn.Module()
        self.transformer.resblocks = nn.ModuleList(_Block(width, heads) for _ in range(layers))
        self.ln_final = nn.LayerNorm(width)
        self.text_projection = nn.Parameter(torch.randn(width, projection) * 0.2)
        self.logit_scale = nn.Parameter(torch.zeros(()))
        with torch.no_grad():
            self.token_embedding.weight.normal_(0.0, 0.5)
            for name, value in self.named_parameters():
                if name.endswith("bias"):
                    value.normal_(0.0, 0.1)
            # A mean that is not near zero, so that the mean rule of emphasis does not blow the numbers up.
            self.ln_final.bias.fill_(0.25)
        self.eval()

    def forward(self, tokens: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
        """The states before and after every block, [N, 77, C] each, and the projected vector of the end, [N, P]."""
        x = self.token_embedding(tokens) + self.positional_embedding
        states = [x]
        for block in self.transformer.resblocks:
            x = block(x)
            states.append(x)
        ends = self.ln_final(x)[torch.arange(len(x)), tokens.argmax(dim=-1)]
        return states, ends @ self.text_projection


class _Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.mlp = nn.Sequential()
        self.mlp.add_module("c_fc", nn.Linear(width, 4 * width))
        self.mlp.add_module("gelu", nn.GELU())
        self.mlp.add_module("c_proj", nn.Linear(4 * width, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # [N, 77, C] -> same
        mask = torch.full((x.shape[1], x.shape[1]), float("-inf")).triu(1)
        y = self.ln_1(x)
        x = x + self.attn(y, y, y, attn_mask=mask, need_weights=False)[0]
        return x + self.mlp(self.ln_2(x))


def as_transformers(tower: OpenTower, heads: int = 2) -> CLIPTextModelWithProjection:
    """The same weights in transformers' module, put there by hand: what other programs run."""
    width, projection = tower.text_projection.shape
    module = CLIPTextModelWithProjection(
        CLIPTextConfig(
            vocab_size=VOCABULARY, hidden_size=width, intermediate_size=4 * width,
            num_hidden_layers=len(tower.transformer.resblocks), num_attention_heads=heads, projection_dim=projection,
            hidden_act="gelu", bos_token_id=49406, eos_token_id=49407, pad_token_id=0,
        )
    ).eval()  # fmt: skip
    core = module.text_model
    with torch.no_grad():
        module.text_projection.weight.copy_(tower.text_projection.T)
        core.embeddings.token_embedding.weight.copy_(tower.token_embedding.weight)
        core.embeddings.position_embedding.weight.copy_(tower.positional_embedding)
        core.final_layer_norm.load_state_dict(tower.ln_final.state_dict())
        for layer, block in zip(core.encoder.layers, tower.transformer.resblocks, strict=True):
            layer.layer_norm1.load_state_dict(block.ln_1.state_dict())
            layer.layer_norm2.load_state_dict(block.ln_2.state_dict())
            layer.mlp.fc1.load_state_dict(block.mlp.c_fc.state_dict())
            layer.mlp.fc2.load_state_dict(block.mlp.c_proj.state_dict())
            layer.self_attn.out_proj.load_state_dict(block.attn.out_proj.state_dict())
            for part, name in enumerate(("q_proj", "k_proj", "v_proj")):
                own = getattr(layer.self_attn, name)
                own.weight.copy_(block.attn.in_proj_weight.chunk(3)[part])
                own.bias.copy_(block.attn.in_proj_bias.chunk(3)[part])
    return module
