"""The authors' original checkpoints: tensor names mapped to ours and back, fused q/k/v weights split."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from data.errors import UserError

NAMES = (
    ("feature_extractor.layers.#.1.", "convs.#.conv."),
    ("feature_extractor.layers.#.3.", "convs.#.norm."),
    ("feature_projection.layer_norm.", "conv_norm."),
    ("feature_projection.projection.", "projection."),
    ("pos_conv_embed.conv.", "positional.conv."),
    ("pos_conv_embed.layer_norm.", "positional.norm."),
    ("layer_norm.", "norm."),
    ("transformer_encoder.layers.#.self_attn.", "layers.#.attention."),
    ("transformer_encoder.layers.#.", "layers.#."),
)
"""How the audio tower's names begin, published and ours; # is a layer's number. The first that fits counts."""
PARTS = {
    "audio_model": "audio_model",
    "text_model": "text_model",
    "audio_mlp": "audio_head",
    "text_mlp": "text_head",
    "fusion_mlp": "fusion_head",
}


def load_original_weights(model: nn.Module, parts: Mapping[str, str | Path | dict[str, Tensor]]) -> None:
    """Load published state dicts, by published part name, into an HtclModel. Raises UserError where one does not fit.

    Nothing is loaded unless everything fits.
    """
    fitting: list[tuple[nn.Module, dict[str, Tensor]]] = []
    for name, given in parts.items():
        weights = dict(given) if isinstance(given, dict) else read_weights(Path(given))
        if name == "audio_model":
            weights = from_original_names(weights)
        if name == "text_model":
            # Buffers that older transformers saved; today's models make them.
            weights = {key: value for key, value in weights.items() if not key.endswith("position_ids")}
        target = model.get_submodule(PARTS[name])
        wanted = {key: tuple(value.shape) for key, value in target.state_dict().items()}
        found = {key: tuple(value.shape) for key, value in weights.items()}
        if wanted != found:
            odd = sorted(key for key in wanted.keys() | found.keys() if wanted.get(key) != found.get(key))
            first = f"{odd[0]}: {found.get(odd[0], 'missing')} where the model has {wanted.get(odd[0], 'nothing')}"
            raise UserError(f"{name} does not fit: {len(odd)} tensors differ, e.g. {first}", "Pass its own config.")
        fitting.append((target, weights))
    for target, weights in fitting:
        target.load_state_dict(weights)


def read_weights(path: Path) -> dict[str, Tensor]:
    """A state dict from .safetensors or, with torch's weights-only reader, from a .pt file."""
    if not path.is_file():
        raise UserError(f"no checkpoint {path}")
    if path.suffix == ".safetensors":
        return load_file(path)
    weights: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return weights


def from_original_names(published: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Published names of the audio tower -> ours; in_proj (3D, D) is split into q, k and v."""
    ours: dict[str, Tensor] = {}
    for published_name, value in published.items():
        name = _renamed(published_name, NAMES)
        if ".attention.in_proj_" in name:
            for letter, part in zip("qkv", value.chunk(3), strict=True):
                ours[name.replace("in_proj_", f"{letter}_proj.")] = part.clone()
        else:
            ours[name] = value
    return ours


def to_original_names(model: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our names of the audio tower -> the original ones, with q, k and v joined; inverts `from_original_names`."""
    published: dict[str, Tensor] = {}
    for name, value in model.items():
        joined = re.sub(r"\.q_proj\.", ".in_proj_", name)
        if joined != name:
            value = torch.cat([model[name.replace(".q_proj.", f".{letter}_proj.")] for letter in "qkv"])
        if not re.search(r"\.[kv]_proj\.", name):
            published[_renamed(joined, [(ours, theirs) for theirs, ours in NAMES])] = value
    return published


def original_parts(model: nn.Module) -> dict[str, dict[str, Tensor]]:
    """The five state dicts of an HtclModel under the published names of parts and tensors."""
    found = {part: dict(model.get_submodule(ours).state_dict()) for part, ours in PARTS.items()}
    return found | {"audio_model": to_original_names(found["audio_model"])}


def _renamed(name: str, beginnings: Iterable[tuple[str, str]]) -> str:
    for old, new in beginnings:
        found = re.match(re.escape(old).replace(r"\#", r"(\d+)"), name)
        if found:
            number = found[1] if found.groups() else ""
            return new.replace("#", number) + name[found.end() :]
    return name
