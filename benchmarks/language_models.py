"""Language models as eager transformers libraries of 2023 ran them, from states of shape (L, D) on.

Each by its configuration in github.com/sitar-lab/NeuSight (MIT). BERT's scores are divided, and masked by a
sum; GPT-2's are divided, chosen by a mask, and its GELU is done operator by operator; OPT scales its queries,
adds a mask and takes a maximum. Their embeddings, a few copies, are left out.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import torch
from torch import nn

MASKED = -1e9


class Attention(nn.Module):
    """Heads of attention over states of shape (B, L, D), by what a family does with its scores."""

    def __init__(self, width: int, heads: int, family: str) -> None:
        super().__init__()
        self.heads, self.family = heads, family
        widths = [3 * width] if family == "gpt2" else [width] * 3
        self.projections = nn.ModuleList(nn.Linear(width, one) for one in widths)
        self.output = nn.Linear(width, width)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        batch, length, width = states.shape
        parts = [projection(states) for projection in self.projections]
        parts = list(parts[0].split(width, -1)) if len(parts) == 1 else parts
        shape = batch, length, self.heads, width // self.heads
        query, key, value = (part.view(shape).transpose(1, 2) for part in parts)
        if self.family == "opt":
            query = (query * shape[-1] ** -0.5).contiguous()
        weights = self.masked(query @ key.transpose(-1, -2), shape[-1]).softmax(-1)
        mixed = (weights @ value).transpose(1, 2).reshape(batch, length, width)
        return self.output(mixed)

    def masked(self, scores: torch.Tensor, width: int) -> torch.Tensor:
        """The scores as softmax takes them."""
        length = scores.shape[-1]
        if self.family == "bert":
            return scores / math.sqrt(width) + scores.new_zeros(len(scores), 1, 1, length)
        if self.family == "gpt2":
            past = torch.ones(length, length, dtype=torch.bool, device=scores.device)
            return torch.where(past, scores / math.sqrt(width), scores.new_full((), MASKED))
        mask = scores.new_zeros(len(scores), 1, length, length)
        return torch.maximum(scores + mask, scores.new_full((), MASKED))


class Gelu(nn.Module):
    """GELU by its tanh, operator by operator."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = math.sqrt(2 / math.pi) * (x + 0.044715 * torch.pow(x, 3.0))
        return 0.5 * x * (1.0 + torch.tanh(inner))


ACTIVATIONS = {"bert": nn.GELU, "gpt2": Gelu, "opt": nn.ReLU}


class Layer(nn.Module):
    """Attention and two linear layers, with norms before them, or behind their sums as BERT has them."""

    def __init__(self, width: int, heads: int, inner: int, family: str) -> None:
        super().__init__()
        self.is_before = family != "bert"
        self.attention = Attention(width, heads, family)
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.network = nn.Sequential(nn.Linear(width, inner), ACTIVATIONS[family](), nn.Linear(inner, width))

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        for norm, part in zip(self.norms, (self.attention, self.network), strict=True):
            states = states + part(norm(states)) if self.is_before else norm(states + part(states))
        return states


class Pooler(nn.Module):
    """Two classes of the first state."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 2))

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        return self.layers(states[:, 0])


def language_model(configuration: Path) -> tuple[nn.Module, int]:
    """The model of a configuration file on the meta device, and the width of its states."""
    found = json.loads(configuration.read_text(encoding="utf-8"))
    family = "gpt2" if "n_embd" in found else "opt" if "ffn_dim" in found else "bert"
    width = found.get("n_embd") or found["hidden_size"]
    heads = found.get("n_head") or found["num_attention_heads"]
    count = found.get("n_layer") or found["num_hidden_layers"]
    inner = found.get("ffn_dim") or found.get("intermediate_size") or 4 * width
    with torch.device("meta"):
        layers = [Layer(width, heads, inner, family) for _ in range(count)]
        if family == "bert":
            end: list[nn.Module] = [Pooler(width)]
        else:
            end = [nn.LayerNorm(width), nn.Linear(width, found["vocab_size"], bias=False)]
        return nn.Sequential(*layers, *end).eval(), width
