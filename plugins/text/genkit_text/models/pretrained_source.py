"""From options to a transformers model: a folder, the hub, or a config. Errors name what is missing."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from torch import nn

from genkit import ConfigError, PluginError
from genkit_text.facts import TextFacts
from genkit_text.models.config import LoRAConfig, PretrainedConfig

if TYPE_CHECKING:
    from transformers import PreTrainedModel

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
ATTENTION = {"full_attention", "sliding_attention", "chunked_attention"}


def open_model(
    options: PretrainedConfig,
    facts: TextFacts,
    *,
    reads: int,
    head: bool,
    where: str,
    stored: Mapping[str, Any] | None = None,
) -> PreTrainedModel:
    """The model, without dropout, with adapters where they are asked for.

    Args:
        options: where it comes from.
        facts: the data's.
        reads: tokens it will be given at once.
        head: with the language model's head, or the body alone.
        where: the key of the options, for errors.
        stored: a model's config from a checkpoint, whose weights will be loaded into it; nothing else is then read.

    Raises ConfigError when there is no such model or it does not fit the data, PluginError without transformers or,
    for adapters, peft.
    """
    transformers = _import("transformers", "hf", where)
    kind = transformers.AutoModelForCausalLM if head else transformers.AutoModel
    scratch = options.config if stored is None else stored
    if stored is None:
        _require_one_source(options, where)
    name = options.hub or options.path or "the model"
    try:
        if stored is not None:
            config = transformers.AutoConfig.for_model(**stored)
        elif scratch is not None:
            config = _config_of(transformers, scratch, facts, where)
        else:
            config = _config_at(transformers, options, where)
    except (ValueError, TypeError, OSError) as error:
        raise ConfigError(f"{name}: its config can not be used: {_reason(error)}", where=where) from error
    require_fit(config.get_text_config(), facts, reads, where)
    for key, value in config.to_dict().items():
        if "drop" in key and isinstance(value, float):
            setattr(config, key, 0.0)
    dtype = DTYPES[options.dtype]
    try:
        if scratch is not None:
            model = kind.from_config(config, dtype=dtype, trust_remote_code=False)
        else:
            model = _load(kind, options, config, dtype, where)
    except (ValueError, OSError, SafetensorError) as error:  # no such head, code of its own, no network, damaged files
        raise ConfigError(f"{name}: can not be built: {_reason(error)}", where=where) from error
    except ImportError as error:  # such as a torchaudio that does not fit torch, which transformers imports
        raise PluginError(f"transformers can not load {config.model_type}: {_reason(error)}", where=where) from error
    _require_arguments(model, ("position_ids", "logits_to_keep") if head else ("position_ids",), where)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    if options.lora is not None:
        _adapt(model, options.lora, where)
    found: PreTrainedModel = model
    return found


def require_fit(config: Any, facts: TextFacts, reads: int, where: str) -> None:
    """Raise ConfigError unless a model with this config can read the data."""
    name = config.model_type
    if facts.vocabulary > config.vocab_size:
        raise ConfigError(
            f"the tokenizer has {facts.vocabulary:,} tokens, and the model embeds {config.vocab_size:,}",
            where=where,
            fix="the model's own tokenizer: data.tokenizer=MODEL_FOLDER",
        )
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    if kinds - ATTENTION:
        raise ConfigError(f"{name} has layers of {', '.join(sorted(kinds - ATTENTION))}, not attention", where=where)
    limits = {"positions": getattr(config, "max_position_embeddings", None)}
    if "sliding_attention" in kinds or not getattr(config, "layer_types", None):
        limits["tokens in its attention window"] = getattr(config, "sliding_window", None)
    if "chunked_attention" in kinds:
        limits["tokens in a chunk of attention"] = getattr(config, "attention_chunk_size", None)
    for what, limit in limits.items():
        if limit is not None and reads > limit:
            raise ConfigError(
                f"a prompt of {facts.prompt_length:,} tokens and a sample of {facts.length:,} make {reads:,} to read, "
                f"and {name} has {limit:,} {what}",
                where=where,
                fix="smaller data.length or data.prompt_length",
            )


def _require_arguments(model: Any, names: Sequence[str], where: str) -> None:
    """Raise ConfigError for an architecture that can not be told where a token stands, or which logits are wanted."""
    lacking = set(names) - set(inspect.signature(model.forward).parameters)
    if getattr(model.config, "alibi", False):
        lacking.add("position_ids")
    if lacking:
        raise ConfigError(f"{type(model).__name__} takes no {', '.join(sorted(lacking))}", where=where)


def _require_one_source(options: PretrainedConfig, where: str) -> None:
    given = [name for name in ("path", "hub", "config") if getattr(options, name) is not None]
    if len(given) != 1:
        raise ConfigError(
            f"a model comes from one of path, hub and config; given: {', '.join(given) or 'none'}",
            where=where,
            fix=f"--set {where}.path=FOLDER",
        )


def _config_of(transformers: Any, values: Mapping[str, Any], facts: TextFacts, where: str) -> Any:
    """A config from scratch, with the data's vocabulary and special tokens."""
    kind = values.get("model_type")
    if kind not in transformers.CONFIG_MAPPING:
        close = get_close_matches(str(kind), list(transformers.CONFIG_MAPPING.keys()), 3)
        raise ConfigError(
            f"transformers has no model_type {kind!r}",
            where=f"{where}.config",
            fix=f"one of {', '.join(close)}" if close else "such as gpt2 or llama",
        )
    default = transformers.CONFIG_MAPPING[kind]()
    known = {*default.to_dict(), *default.attribute_map}
    unknown = sorted(set(values) - known)
    if unknown:
        close = [match for name in unknown for match in get_close_matches(name, sorted(known), 1)]
        raise ConfigError(
            f"a config of {kind} has no {', '.join(unknown)}",
            where=f"{where}.config",
            fix=f"did you mean {', '.join(close)}?" if close else None,
        )
    # An embedding never learns its padding token, so none is named where padding is a token of text.
    pad = None if facts.pad in (facts.bos, facts.eos) else facts.pad
    special = {"bos_token_id": facts.bos, "eos_token_id": facts.eos, "pad_token_id": pad}
    return transformers.AutoConfig.for_model(**{**values, "vocab_size": facts.vocabulary, **special})


def _config_at(transformers: Any, options: PretrainedConfig, where: str) -> Any:
    if options.hub is not None:
        return transformers.AutoConfig.from_pretrained(options.hub, trust_remote_code=False)
    path = Path(str(options.path)).expanduser()
    place = f"{where}.path"
    if not path.is_dir():
        raise ConfigError(f"{path}: no such folder", where=place)
    if not (path / "config.json").is_file():
        raise ConfigError(f"{path}: has no config.json, so it is no transformers model", where=place)
    if not any((path / name).is_file() for name in ("model.safetensors", "model.safetensors.index.json")):
        pickled = (path / "pytorch_model.bin").is_file() or (path / "pytorch_model.bin.index.json").is_file()
        raise ConfigError(
            f"{path}: has no weights in safetensors{', only pickled ones' if pickled else ''}",
            where=place,
            fix="model.save_pretrained(FOLDER) in transformers writes model.safetensors",
        )
    return transformers.AutoConfig.from_pretrained(str(path), local_files_only=True, trust_remote_code=False)


def _load(kind: Any, options: PretrainedConfig, config: Any, dtype: torch.dtype, where: str) -> Any:
    source = options.hub or str(Path(str(options.path)).expanduser())
    with nullcontext() if options.hub else without_progress():
        model, report = kind.from_pretrained(
            source,
            config=config,
            dtype=dtype,
            local_files_only=options.hub is None,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    missing = sorted(report["missing_keys"])
    if missing:
        raise ConfigError(
            f"{source}: its weights lack {', '.join(missing[:3])}{' and others' if len(missing) > 3 else ''}",
            where=where,
        )
    return model


@contextmanager
def without_progress() -> Iterator[None]:
    """No progress bars of transformers for reading and writing local files."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _adapt(model: Any, options: LoRAConfig, where: str) -> None:
    """Put adapters into `model`, fp32 and the only ones to train."""
    peft = _import("peft", "lora", f"{where}.lora")
    config = peft.LoraConfig(
        r=options.rank,
        lora_alpha=options.alpha,
        lora_dropout=options.dropout,
        target_modules=None if options.targets is None else list(options.targets),
        fan_in_fan_out=any(type(module).__name__ == "Conv1D" for module in model.modules()),  # GPT-2's linear layers
    )
    try:
        peft.inject_adapter_in_model(config, model)
    except ValueError as error:  # no layer of that name, or an architecture that peft does not know
        raise ConfigError(str(error), where=f"{where}.lora.targets") from error
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("lora_" in name)
        if "lora_" in name:
            parameter.data = parameter.data.float()


def _reason(error: BaseException) -> str:
    """The first sentence of what started it."""
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error).strip().split("\n")[0]


def _import(name: str, extra: str, where: str) -> Any:
    try:
        return __import__(name)
    except ImportError as error:
        raise PluginError(
            f"this needs the package `{name}`", where=where, fix=f'pip install "genkit-gan-text[{extra}]"'
        ) from error
