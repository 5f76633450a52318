# SPDX-License-Identifier: Apache-2.0
"""Shapes of a Qwen3.5 model: read from and written as a checkpoint's config.json."""
from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class VisionConfig:
    """The tower; names as in config.json's vision_config."""

    depth: int = 3
    hidden_size: int = 96
    num_heads: int = 3
    intermediate_size: int = 192
    out_hidden_size: int = 128
    num_position_embeddings: int = 64
    patch_size: int = 16
    temporal_patch_size: int = 2
    spatial_merge_size: int = 2
    in_channels: int = 3


@dataclass
class Config:
    """The text model; names as in config.json's text_config."""

    vocab_size: int = 2048
    hidden_size: int = 128
    intermediate_size: int = 384
    num_hidden_layers: int = 8
    num_attention_heads: int = 4
    num_key_value_heads: int = 2
    head_dim: int = 32
    linear_num_key_heads: int = 2
    linear_num_value_heads: int = 4
    linear_key_head_dim: int = 32
    linear_value_head_dim: int = 32
    mrope_section: list[int] = field(default_factory=lambda: [2, 1, 1])
    partial_rotary_factor: float = 0.25
    rope_theta: float = 1e7
    rms_norm_eps: float = 1e-6
    tie_word_embeddings: bool = True
    mtp_num_hidden_layers: int = 0
    max_position_embeddings: int = 4096
    eos_token_id: int = 0
    image_token_id: int = -1
    video_token_id: int = -1
    vision_start_token_id: int = -1
    vision_end_token_id: int = -1
    vision: VisionConfig | None = None

    @property
    def rotary_dim(self) -> int:
        return int(self.head_dim * self.partial_rotary_factor)

    @property
    def conv_dim(self) -> int:
        return (2 * self.linear_num_key_heads * self.linear_key_head_dim
                + self.linear_num_value_heads * self.linear_value_head_dim)

    def is_full(self, layer: int) -> bool:
        """Every fourth layer is gated attention, the others are Gated DeltaNet."""
        return (layer + 1) % 4 == 0


TEXT_KEYS = [name for name in Config.__dataclass_fields__
             if name not in ("mrope_section", "partial_rotary_factor", "rope_theta", "vision",
                             "image_token_id", "video_token_id", "vision_start_token_id",
                             "vision_end_token_id")]
TOP_KEYS = ["image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id"]


def read_config(folder: Path) -> Config:
    """Reads config.json, nested (with a tower) or flat (text only)."""
    top = json.loads((folder / "config.json").read_text())
    text = top.get("text_config", top)
    values = {key: text[key] for key in TEXT_KEYS if key in text}
    values.update({key: top[key] for key in TOP_KEYS if key in top})
    rope = text["rope_parameters"]
    values.update({key: rope[key]
                   for key in ("mrope_section", "partial_rotary_factor", "rope_theta")})
    config = Config(**values)
    if "vision_config" in top:
        vision = top["vision_config"]
        config.vision = VisionConfig(**{key: vision[key] for key in
                                        VisionConfig.__dataclass_fields__ if key in vision})
    return config


def text_document(config: Config, dtype: str) -> dict:
    """text_config as the published checkpoints spell it."""
    document: dict = {"model_type": "qwen3_5_text", "dtype": dtype, "hidden_act": "silu",
                      "attention_bias": False, "attention_dropout": 0.0,
                      "attn_output_gate": True, "full_attention_interval": 4,
                      "linear_conv_kernel_dim": 4, "mamba_ssm_dtype": "float32",
                      "mtp_use_dedicated_embeddings": False, "use_cache": True}
    document.update({key: getattr(config, key) for key in TEXT_KEYS})
    document["layer_types"] = ["full_attention" if config.is_full(i) else "linear_attention"
                               for i in range(config.num_hidden_layers)]
    document["rope_parameters"] = {
        "rope_type": "default", "rope_theta": int(config.rope_theta),
        "partial_rotary_factor": config.partial_rotary_factor,
        "mrope_interleaved": True, "mrope_section": config.mrope_section}
    return document


def document_of(config: Config, dtype: str) -> dict:
    """The whole config.json."""
    assert config.vision is not None
    top: dict = {"architectures": ["Qwen3_5ForConditionalGeneration"], "model_type": "qwen3_5",
                 "tie_word_embeddings": config.tie_word_embeddings,
                 "text_config": text_document(config, dtype)}
    top.update({key: getattr(config, key) for key in TOP_KEYS})
    top["vision_config"] = {"model_type": "qwen3_5", "hidden_act": "gelu_pytorch_tanh",
                            "deepstack_visual_indexes": [], "initializer_range": 0.02}
    top["vision_config"].update(vars(config.vision))
    return top
