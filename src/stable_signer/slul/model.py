"""SLUL, the Sign Language Understanding Linker: a T5 encoder-decoder from text to a line of glosses.

    text --pieces--> [<ase>|<gsg>] + encoder --> H (B,S,d) --decoder--> glosses, and one state (d,) per gloss

`Slul` is the network to train: `transformers`' T5 with its output restricted to what a gloss line can
contain. `Checkpoint` is what a weights file holds (configuration, vocabulary, the tensors of one or more
networks that vote); `decode.py` runs it in plain torch, so that the product need not load transformers.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from stable_signer.errors import StableSignerError
from stable_signer.slul.losses import IGNORE
from stable_signer.slul.stored import read_tensors
from stable_signer.slul.vocabulary import EOS, PAD, SPECIALS, Vocabulary

SIZES: dict[str, dict[str, int]] = {
    "tiny": {"d_model": 128, "d_kv": 32, "d_ff": 512, "layers": 2, "heads": 4},
    "small": {"d_model": 192, "d_kv": 48, "d_ff": 768, "layers": 2, "heads": 4},
    "base": {"d_model": 256, "d_kv": 64, "d_ff": 1024, "layers": 3, "heads": 4},
}
FORMAT = "stable-signer-slul-1"


@dataclass(frozen=True)
class SlulConfig:
    """What a SLUL network is; the fields are T5's.

    `languages` are ISO 639-3 codes it was trained on; `layers` counts each of encoder and decoder; `d_ff` is
    the inner width of the feed-forward part, "relu" or "gated-gelu"; `vocabulary` the number of ids.
    """

    languages: tuple[str, ...] = ("gsg",)
    d_model: int = 192
    d_kv: int = 48
    d_ff: int = 768
    layers: int = 2
    heads: int = 4
    dropout: float = 0.3
    attention_dropout: float = 0.1
    feed_forward: str = "relu"
    vocabulary: int = 0
    buckets: int = 32
    distance: int = 128

    @classmethod
    def preset(cls, name: str, **changes: Any) -> SlulConfig:
        """A named size with `changes`; StableSignerError when there is no such size."""
        if name not in SIZES:
            raise StableSignerError(f"there is no SLUL size {name!r}: use one of {', '.join(SIZES)}")
        return cls(**{**SIZES[name], **changes})


class Slul(nn.Module):
    """The network to train. Source ids (B,S), source mask (B,S), target ids (B,T) with IGNORE as padding."""

    outputs: Tensor
    place: Tensor

    def __init__(self, config: SlulConfig, vocabulary: Vocabulary) -> None:
        super().__init__()
        from transformers import T5Config, T5ForConditionalGeneration

        self.config = config
        special: dict[str, Any] = {"decoder_start_token_id": PAD, "tie_word_embeddings": True}
        self.t5 = T5ForConditionalGeneration(
            T5Config(
                vocab_size=vocabulary.size,
                d_model=config.d_model,
                d_kv=config.d_kv,
                d_ff=config.d_ff,
                num_layers=config.layers,
                num_decoder_layers=config.layers,
                num_heads=config.heads,
                relative_attention_num_buckets=config.buckets,
                relative_attention_max_distance=config.distance,
                dropout_rate=config.dropout,
                feed_forward_proj=config.feed_forward,
                pad_token_id=PAD,
                eos_token_id=EOS,
                **special,
            )
        )
        for module in self.t5.modules():
            if type(module).__name__ == "T5Attention":
                setattr(module, "dropout", config.attention_dropout)  # noqa: B010 - a float, not a submodule
        outputs = torch.as_tensor(vocabulary.output_mask()).nonzero()[:, 0]  # (V',) ids that can be output
        place = torch.full((vocabulary.size,), -1)
        place[outputs] = torch.arange(len(outputs))
        self.register_buffer("outputs", outputs, persistent=False)
        self.register_buffer("place", place, persistent=False)  # (V,) id -> column of the logits

    def encode(self, source: Tensor, source_mask: Tensor) -> Tensor:
        """H (B,S,d)."""
        return self.t5.encoder(input_ids=source, attention_mask=source_mask).last_hidden_state

    def decode(self, inputs: Tensor, states: Tensor, source_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Teacher-forced: `inputs` (B,T), start token first -> logits (B,T,V') and decoder states (B,T,d)."""
        hidden = self.t5.decoder(
            input_ids=inputs, encoder_hidden_states=states, encoder_attention_mask=source_mask
        ).last_hidden_state
        return self.logits(hidden), hidden

    def logits(self, hidden: Tensor) -> Tensor:
        """(...,d) states to (...,V') logits over `outputs`; T5 with tied embeddings scales by d**-0.5
        first."""
        scaled = hidden * self.config.d_model**-0.5
        return scaled @ self.t5.shared.weight[self.outputs].T.to(scaled.dtype)

    def columns(self, targets: Tensor) -> Tensor:
        """Target ids (B,T) as columns of the logits, IGNORE kept."""
        return torch.where(targets == IGNORE, targets, self.place[targets.clamp(min=0)])

    def tensors(self) -> dict[str, Tensor]:
        """The weights by T5's names, shared embeddings once."""
        return {
            k: v.detach()
            for k, v in self.t5.state_dict().items()
            if k not in ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight")
        }

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over what `tensors` gave; StableSignerError when names or shapes are another network's."""
        own = self.tensors()
        if set(own) != set(tensors) or any(own[k].shape != tensors[k].shape for k in own):
            raise StableSignerError(
                "the weights belong to a network of another architecture or size: use a file with the"
                " same size and vocabulary, or train anew"
            )
        self.t5.load_state_dict(dict(tensors), strict=False)


def output_bias(vocabulary: Vocabulary) -> Tensor:
    """(V,) 0 where an id can be output, -inf elsewhere."""
    return torch.where(torch.as_tensor(vocabulary.output_mask()), 0.0, float("-inf"))


def shift_right(targets: Tensor) -> Tensor:
    """Decoder inputs for `targets` (B,T): the start token, then all but the last; PAD instead of IGNORE."""
    start = torch.full_like(targets[:, :1], PAD)
    return torch.cat([start, targets[:, :-1].masked_fill(targets[:, :-1] == IGNORE, PAD)], dim=1)


def relative_buckets(length: int, bidirectional: bool, buckets: int, distance: int) -> Tensor:
    """(length, length) T5 bucket of each (query, key) pair; Raffel et al. 2020, section 2.1."""
    place = torch.arange(length)
    offset = place[None, :] - place[:, None]  # key - query
    bucket = torch.zeros_like(offset)
    if bidirectional:
        buckets //= 2
        bucket += (offset > 0).long() * buckets
        offset = offset.abs()
    else:
        offset = (-offset).clamp(min=0)
    exact = buckets // 2
    scaled = torch.log(offset.float().clamp(min=1) / exact) / math.log(distance / exact) * (buckets - exact)
    far = (exact + scaled.long()).clamp(max=buckets - 1)
    return bucket + torch.where(offset < exact, offset, far)


@dataclass
class Checkpoint:
    """One or more networks of one configuration over one vocabulary; several vote when they decode.

    `members` hold T5's tensors by name; `about` is free text for the card (data, recipe, scores).
    """

    config: SlulConfig
    vocabulary: Vocabulary
    members: list[dict[str, Tensor]]
    about: dict[str, Any]

    def save(self, path: str | Path, kind: str = "int8") -> None:
        """Write one safetensors file: "int8" (a scale a row), "float16" or "float32"; whole or not at all."""
        path = Path(path)
        stored: dict[str, Tensor] = {}
        for number, member in enumerate(self.members):
            for name, tensor in member.items():
                key = f"{number}.{name}"
                if kind == "int8" and tensor.ndim == 2 and min(tensor.shape) > 8:
                    scale = tensor.float().abs().amax(1).clamp(min=1e-8) / 127
                    stored[key] = (tensor.float() / scale[:, None]).round().to(torch.int8).contiguous()
                    stored[key + "|scale"] = scale.contiguous()
                else:
                    stored[key] = (
                        tensor.to(torch.float32 if kind == "float32" else torch.float16).contiguous().clone()
                    )
        config = {f.name: getattr(self.config, f.name) for f in fields(self.config)}
        metadata = {
            "format": FORMAT,
            "config": json.dumps(config),
            "vocabulary": self.vocabulary.to_json(),
            "about": json.dumps(self.about, ensure_ascii=False),
        }
        part = path.with_name(path.name + ".part")
        save_file(stored, part, metadata)
        part.replace(path)

    @classmethod
    def load(cls, path: str | Path) -> Checkpoint:
        """Read a weights file; StableSignerError when it is missing, damaged or no SLUL of this version."""
        try:
            stored, metadata = read_tensors(path)
            if metadata.get("format") != FORMAT:
                raise StableSignerError(
                    f"{path} is no SLUL weights file of this version: train one with `train slul`"
                )
            config = json.loads(metadata["config"])
            config["languages"] = tuple(config["languages"])
            about = json.loads(metadata["about"])
            vocabulary = Vocabulary.from_json(metadata["vocabulary"])
            loaded = cls(SlulConfig(**config), vocabulary, _members(stored), about)
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            raise StableSignerError(
                f"the weights {path} cannot be read ({error}): check the path, or copy them anew"
            ) from error
        expected = (loaded.config.vocabulary, loaded.config.d_model)
        if not loaded.members or any(
            m.get("shared.weight", torch.zeros(0)).shape != expected for m in loaded.members
        ):
            raise StableSignerError(f"the weights {path} do not fit their own configuration: copy them anew")
        return loaded

    def network(self, member: int = 0) -> Slul:
        """A trainable network with the weights of `member`."""
        model = Slul(self.config, self.vocabulary)
        model.load_tensors(self.members[member])
        return model


def _members(stored: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
    members: dict[int, dict[str, Tensor]] = {}
    for key, tensor in stored.items():
        if key.endswith("|scale"):
            continue
        number, name = key.split(".", 1)
        value = tensor.float()
        if key + "|scale" in stored:
            value = value * stored[key + "|scale"][:, None]
        members.setdefault(int(number), {})[name] = value
    return [members[n] for n in sorted(members)]


def from_t5(path: str | Path, vocabulary: Vocabulary, languages: tuple[str, ...]) -> tuple[SlulConfig, Slul]:
    """A trainable SLUL that starts from a T5 checkpoint on disk (a folder in the form of transformers).

    Encoder and decoder are taken over; each of our ids starts from the mean of the checkpoint's embeddings of
    its pieces, if the folder has a tokenizer.json, and at random otherwise. StableSignerError when the folder
    holds no T5 or one with another number of encoder and decoder layers.
    """
    from tokenizers import Tokenizer
    from transformers import AutoConfig, T5ForConditionalGeneration

    try:
        found = AutoConfig.from_pretrained(path, local_files_only=True)
        if found.model_type not in ("t5", "mt5"):
            raise StableSignerError(f"{path} holds a {found.model_type} model: SLUL can only start from a T5")
        if found.num_layers != found.num_decoder_layers:
            raise StableSignerError(
                f"{path} has more encoder than decoder layers or fewer: use a T5 with as many"
            )
        source = T5ForConditionalGeneration.from_pretrained(path, local_files_only=True)
    except (OSError, ValueError) as error:
        raise StableSignerError(
            f"there is no T5 checkpoint in {path}: give the folder that save_pretrained wrote"
        ) from error
    config = SlulConfig(
        languages=languages,
        d_model=found.d_model,
        d_kv=found.d_kv,
        d_ff=found.d_ff,
        layers=found.num_layers,
        heads=found.num_heads,
        dropout=found.dropout_rate,
        attention_dropout=found.dropout_rate,
        feed_forward=found.feed_forward_proj,
        vocabulary=vocabulary.size,
        buckets=found.relative_attention_num_buckets,
        distance=found.relative_attention_max_distance,
    )
    model = Slul(config, vocabulary)
    tensors = {k: v for k, v in source.state_dict().items() if k in model.tensors() and k != "shared.weight"}
    embeddings = source.get_input_embeddings().weight.detach()
    fresh = model.t5.shared.weight.detach().clone() * embeddings.std()
    file = Path(path) / "tokenizer.json"
    if file.exists():
        pieces = Tokenizer.from_file(str(file))
        for index in range(vocabulary.size):
            text = _id_text(vocabulary, index)
            ids = pieces.encode(text, add_special_tokens=False).ids if text else []
            if ids:
                fresh[index] = embeddings[ids].mean(0)
    model.load_tensors({**tensors, "shared.weight": fresh})
    return config, model


def _id_text(vocabulary: Vocabulary, index: int) -> str:
    if index < len(SPECIALS):
        return ""
    if index < vocabulary.first_whole:
        return vocabulary.piece(index).replace("▁", " ").strip()
    return vocabulary.whole[index - vocabulary.first_whole].lower().replace("-", " ")


def config_dict(config: SlulConfig) -> dict[str, Any]:
    """The configuration as plain JSON values."""
    return asdict(config)
