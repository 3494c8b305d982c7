"""Networks over sequences, as PyTorch users write them: a vision transformer, a BERT-like encoder and an LSTM."""

import math

import torch
from digits import CLASSES, SIDE
from torch import Tensor, nn
from words import LENGTH, VOCABULARY

WIDTH = 40
HEADS = 4
PATCH = 4
LOWEST = float(torch.finfo(torch.float32).min)


class Attention(nn.Module):
    """Heads of scaled dot products over [batch, tokens, width]; `mask` is added to their scores."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.size = heads, width // heads
        self.query_key_value = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        batch, tokens, width = x.shape
        parts = self.query_key_value(x).reshape(batch, tokens, 3, self.heads, self.size)
        q, k, v = parts.permute(2, 0, 3, 1, 4).unbind(0)
        scores = q @ k.transpose(-2, -1) / math.sqrt(self.size)
        weights = torch.softmax(scores if mask is None else scores + mask, -1)
        y: Tensor = self.out((weights @ v).transpose(1, 2).reshape(batch, tokens, width))
        return y


def mlp(width: int) -> nn.Sequential:
    """Two dense layers with GELU between them, twice as wide inside."""
    return nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))


class PreNormBlock(nn.Module):
    """A transformer block whose norms stand in front of its parts, so that sums run through the network unnormalized."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention, self.mlp = Attention(width, heads), mlp(width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        y: Tensor = x + self.mlp(self.norm2(x))
        return y


class PostNormBlock(nn.Module):
    """A transformer block whose norms follow its sums, as in BERT."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention, self.mlp = Attention(width, heads), mlp(width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = self.norm1(x + self.attention(x, mask))
        y: Tensor = self.norm2(x + self.mlp(x))
        return y


class VisionTransformer(nn.Module):
    """Patches of 4x4, a class token, learned positions, three blocks; the logits are read from the class token."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, WIDTH, PATCH, PATCH)
        self.class_token = nn.Parameter(torch.randn(1, 1, WIDTH) * 0.02)
        self.positions = nn.Parameter(torch.randn(1, (SIDE // PATCH) ** 2 + 1, WIDTH) * 0.02)
        self.blocks = nn.Sequential(*(PreNormBlock(WIDTH, HEADS) for _ in range(3)))
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, CLASSES)

    def forward(self, image: Tensor) -> Tensor:
        x = self.patches(image).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_token.expand(x.shape[0], -1, -1), x], 1) + self.positions
        logits: Tensor = self.head(self.norm(self.blocks(x))[:, 0])
        return logits


class Encoder(nn.Module):
    """Embeddings of words and positions, two blocks that see no padding, and a pooled first token, as in BERT."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.positions = nn.Embedding(VOCABULARY, WIDTH), nn.Embedding(LENGTH, WIDTH)
        for embedding in (self.words, self.positions):
            nn.init.normal_(embedding.weight, std=0.1)  # what starts small learns faster behind a norm
        self.norm = nn.LayerNorm(WIDTH)
        self.blocks = nn.ModuleList(PostNormBlock(WIDTH, HEADS) for _ in range(2))
        self.pool, self.head = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, CLASSES)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        x = self.norm(self.words(input_ids) + self.positions(torch.arange(input_ids.shape[1])))
        mask = torch.where(attention_mask[:, None, None, :] > 0, 0.0, LOWEST)
        for block in self.blocks:
            x = block(x, mask)
        logits: Tensor = self.head(torch.tanh(self.pool(x[:, 0])))
        return logits


class Lstm(nn.Module):
    """The rows of the picture as the steps of one LSTM; the logits are read from its last step."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.head = nn.LSTM(SIDE, 64, batch_first=True), nn.Linear(64, CLASSES)

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.head(self.lstm(image.squeeze(1))[0][:, -1])
        return logits
