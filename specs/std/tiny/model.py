"""The tiny model: a compact Llama that llama.cpp can load as architecture "llama".

RMSNorm, rotary positions on adjacent pairs (llama.cpp's own layout, so that no weight needs to be permuted), SwiGLU,
grouped key/value heads and an output that shares the embedding's weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Config:
    """The model's shape.  Rows are multiples of 256 long, because the K-quants need that."""

    vocab: int = 1536
    dim: int = 256
    layers: int = 4
    heads: int = 4
    kv_heads: int = 2
    ffn: int = 768
    context: int = 1024
    eps: float = 1e-5
    theta: float = 10000.0

    @property
    def head_dim(self) -> int:
        """The length of one head's vectors."""
        return self.dim // self.heads


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn adjacent pairs by the angle of their position."""
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2).to(x.dtype)


class Block(nn.Module):
    """One layer: attention, then a gated feed-forward network."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        dim, kv_dim = config.dim, config.kv_heads * config.head_dim
        self.attn_norm = nn.RMSNorm(dim, config.eps)
        self.ffn_norm = nn.RMSNorm(dim, config.eps)
        self.attn_q = nn.Linear(dim, dim, bias=False)
        self.attn_k = nn.Linear(dim, kv_dim, bias=False)
        self.attn_v = nn.Linear(dim, kv_dim, bias=False)
        self.attn_output = nn.Linear(dim, dim, bias=False)
        self.ffn_gate = nn.Linear(dim, config.ffn, bias=False)
        self.ffn_up = nn.Linear(dim, config.ffn, bias=False)
        self.ffn_down = nn.Linear(config.ffn, dim, bias=False)

    def split(self, x: Tensor) -> Tensor:
        """Cut vectors into heads: (batch, head, position, head_dim)."""
        return x.view(x.shape[0], x.shape[1], -1, self.config.head_dim).transpose(1, 2)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Apply the layer."""
        h = self.attn_norm(x)
        q = rotate(self.split(self.attn_q(h)), cos, sin)
        k = rotate(self.split(self.attn_k(h)), cos, sin)
        v = self.split(self.attn_v(h))
        repeat = self.config.heads // self.config.kv_heads
        k, v = k.repeat_interleave(repeat, 1), v.repeat_interleave(repeat, 1)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.attn_output(y.transpose(1, 2).reshape(x.shape))
        h = self.ffn_norm(x)
        return x + self.ffn_down(F.silu(self.ffn_gate(h)) * self.ffn_up(h))


class Llama(nn.Module):
    """The whole model: token ids in, logits out.  Parameters carry the names that a GGUF gives them."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.token_embd = nn.Embedding(config.vocab, config.dim)
        self.blk = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.output_norm = nn.RMSNorm(config.dim, config.eps)
        steps = torch.arange(0, config.head_dim, 2).float() / config.head_dim
        angle = torch.outer(torch.arange(config.context).float(), config.theta**-steps)
        self.register_buffer("cos", angle.cos(), persistent=False)
        self.register_buffer("sin", angle.sin(), persistent=False)
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                deep = name.endswith(("attn_output.weight", "ffn_down.weight"))
                nn.init.normal_(parameter, std=0.02 / (2 * config.layers) ** 0.5 if deep else 0.02)

    def forward(self, ids: Tensor) -> Tensor:
        """Return the logits of the token after each of `ids`."""
        length = ids.shape[1]
        x = self.token_embd(ids)
        for block in self.blk:
            x = block(x, self.cos[:length], self.sin[:length])
        return F.linear(self.output_norm(x), self.token_embd.weight)
