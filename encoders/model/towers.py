"""The audio tower and the heads. Layer by layer as HTCL.md states it; padding is masked wherever a mask is given."""

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, scaled_dot_product_attention
from torch.nn.utils.parametrizations import weight_norm

from encoders.model.config import HtclAudioConfig

SHORTEST = 17
"""Frames below which the three convolutions leave no token."""


class ConvBlock(nn.Module):
    """Conv1d without bias and padding, LayerNorm over channels, GELU. (B, C, T) -> (B, C', T')."""

    def __init__(self, channels: int, filters: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(channels, filters, kernel, stride, bias=False)
        self.norm = nn.LayerNorm(filters)

    def forward(self, x: Tensor) -> Tensor:
        return gelu(self.norm(self.conv(x).transpose(1, 2))).transpose(1, 2)


class PositionalConv(nn.Module):
    """Weight-normed grouped Conv1d over time, LayerNorm, GELU: what is added to tell tokens' places. (B, T, D)."""

    def __init__(self, config: HtclAudioConfig) -> None:
        super().__init__()
        size, kernel = config.hidden_size, config.positional_kernel
        conv = nn.Conv1d(size, size, kernel, padding=kernel // 2, groups=config.positional_groups)
        self.conv = weight_norm(conv, dim=2)
        self.norm = nn.LayerNorm(size)

    def forward(self, x: Tensor) -> Tensor:
        return gelu(self.norm(self.conv(x.transpose(1, 2)).transpose(1, 2)))


class SelfAttention(nn.Module):
    """Multi-head attention through torch's scaled_dot_product_attention, with q, k and v apart."""

    def __init__(self, config: HtclAudioConfig) -> None:
        super().__init__()
        self.heads, self.dropout = config.num_attention_heads, config.dropout
        size = config.hidden_size
        self.q_proj, self.k_proj, self.v_proj = nn.Linear(size, size), nn.Linear(size, size), nn.Linear(size, size)
        self.out_proj = nn.Linear(size, size)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        batch, time, size = x.shape
        q, k, v = (
            projection(x).view(batch, time, self.heads, size // self.heads).transpose(1, 2)
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        attended = scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=self.dropout if self.training else 0)
        joined: Tensor = self.out_proj(attended.transpose(1, 2).reshape(batch, time, size))
        return joined


class EncoderLayer(nn.Module):
    """Post-norm Transformer encoder layer with exact GELU. (B, T, D) -> (B, T, D)."""

    def __init__(self, config: HtclAudioConfig) -> None:
        super().__init__()
        self.attention = SelfAttention(config)
        self.linear1 = nn.Linear(config.hidden_size, config.intermediate_size)
        self.linear2 = nn.Linear(config.intermediate_size, config.hidden_size)
        self.norm1, self.norm2 = nn.LayerNorm(config.hidden_size), nn.LayerNorm(config.hidden_size)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        x = self.norm1(x + self.dropout(self.attention(x, mask)))
        y: Tensor = self.norm2(x + self.dropout(self.linear2(self.dropout(gelu(self.linear1(x))))))
        return y


class AudioTower(nn.Module):
    """Log-mel frames -> tokens -> their mean, the [CLS] token included (as published)."""

    def __init__(self, config: HtclAudioConfig) -> None:
        super().__init__()
        self.config = config
        channels = [config.num_mel_bins, *config.conv_filters]
        self.convs = nn.ModuleList(
            ConvBlock(channels[i], channels[i + 1], kernel, stride)
            for i, (kernel, stride) in enumerate(zip(config.conv_kernels, config.conv_strides, strict=True))
        )
        self.conv_norm = nn.LayerNorm(channels[-1])
        self.projection = nn.Linear(channels[-1], config.hidden_size)
        self.positional = PositionalConv(config)
        self.norm = nn.LayerNorm(config.hidden_size)
        self.dropout = nn.Dropout(config.dropout)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, config.hidden_size))
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(config.num_hidden_layers))

    def forward(self, frames: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """frames: (B, T, 128), T >= 17, standardised. mask: (B, T), 1 for frames of the song; None takes every frame,
        as published.

        Returns the tokens (B, 1 + T', D) and their mean (B, D). With a mask the answer does not depend on the padding.
        """
        x = frames.to(self.cls_token.dtype).transpose(1, 2)
        for conv in self.convs:
            x = conv(x)
        x = self.projection(self.conv_norm(x.transpose(1, 2)))
        tokens = self._token_mask(mask, x.shape[1])
        if tokens is not None:
            x = x * tokens[..., None]
        x = self.dropout(self.norm(x + self.positional(x)))
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1)
        attention = None
        if tokens is not None:
            tokens = torch.cat([tokens.new_ones(len(x), 1), tokens], dim=1)
            attention = tokens[:, None, None, :]
        for layer in self.layers:
            x = layer(x, attention)
        if tokens is None:
            return x, x.mean(dim=1)
        return x, (x * tokens[..., None]).sum(dim=1) / tokens.sum(dim=1, keepdim=True)

    def _token_mask(self, mask: Tensor | None, tokens: int) -> Tensor | None:
        """(B, T') bool: tokens whose whole field of view lies inside the song."""
        if mask is None or bool(mask.all()):
            return None
        lengths = mask.sum(dim=1)
        for kernel, stride in zip(self.config.conv_kernels, self.config.conv_strides, strict=True):
            lengths = torch.div(lengths - kernel, stride, rounding_mode="floor") + 1
        return torch.arange(tokens, device=mask.device)[None] < lengths.clamp(min=1)[:, None]


class FeatureTower(nn.Module):
    """A row of numbers on a song, standardised, -> what they add to its audio vector. (B, F) -> (B, D).

    The numbers: the features table's, or the statistics of the song's mel.
    """

    center: Tensor
    spread: Tensor

    def __init__(self, width: int, hidden: int, size: int) -> None:
        super().__init__()
        self.register_buffer("center", torch.zeros(width))
        self.register_buffer("spread", torch.ones(width))
        self.layers = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.LayerNorm(hidden), nn.Linear(hidden, size))

    @torch.no_grad()
    def standardise_to(self, rows: Tensor) -> None:
        """Take the mean and deviation of these rows (N, F), if any; a column that never changes is left out."""
        if not len(rows):
            return
        deviation = rows.std(dim=0, correction=0)
        self.center.copy_(rows.mean(dim=0))
        self.spread.copy_(torch.where(deviation > 1e-6, deviation, torch.inf))

    def forward(self, rows: Tensor) -> Tensor:
        projected: Tensor = self.layers(self.standardised(rows))
        return projected

    def standardised(self, rows: Tensor) -> Tensor:
        """What the layers read of rows (N, F): in deviations from the mean, at most 5."""
        wide = torch.promote_types(self.center.dtype, torch.float32)
        standardised = ((rows.to(wide) - self.center.to(wide)) / self.spread.to(wide)).clamp(-5, 5)
        first = self.layers[0]
        assert isinstance(first, nn.Linear)
        return standardised.to(first.weight.dtype)


class ShortcutHead(nn.Module):
    """A head with a linear map beside it. The layers start at 0, so that at first only the linear map counts."""

    def __init__(self, widths: tuple[int, int, int, int], dropout: float) -> None:
        super().__init__()
        self.layers = Head(widths, dropout)
        self.direct = nn.Linear(widths[0], widths[-1])

    @torch.no_grad()
    def start_from(self, pooled: Tensor) -> None:
        """Let the linear map be the principal components of the tower's vectors (N, in), about their mean."""
        center = pooled.mean(dim=0)
        _, _, components = torch.linalg.svd(pooled - center, full_matrices=False)
        self.direct.weight.zero_()
        kept = components[: len(self.direct.weight)]
        self.direct.weight[: len(kept)] = kept
        self.direct.bias.copy_(-self.direct.weight @ center)
        last = self.layers[-1]
        assert isinstance(last, nn.Linear)
        last.weight.zero_()
        last.bias.zero_()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.direct(x) + self.layers(x)
        return y


class Head(nn.Sequential):
    """Three linear layers with ReLU and dropout between: the projections and the fusion. (B, in) -> (B, out)."""

    def __init__(self, widths: tuple[int, int, int, int], dropout: float) -> None:
        a, b, c, d = widths
        between = (nn.ReLU(), nn.Dropout(dropout))
        super().__init__(nn.Linear(a, b), *between, nn.Linear(b, c), nn.ReLU(), nn.Dropout(dropout), nn.Linear(c, d))
