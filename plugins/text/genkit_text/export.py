"""`genkit export RUN --to hf`: a folder that transformers loads."""

from __future__ import annotations

import copy
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genkit import CheckpointError, PluginError, Sampler, UsageError
from genkit_text.facts import TextFacts
from genkit_text.models.language import Decoder, LanguageGenerator
from genkit_text.models.pretrained import PretrainedDecoder
from genkit_text.models.pretrained_source import without_progress
from genkit_text.models.transformer import NORM_EPS, ROTARY_BASE, TransformerDecoder
from genkit_text.tokenization import PLACE, UNKNOWN, Tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast


def to_hf(sampler: Sampler, out: Path) -> list[Path]:
    """Write the generator, its tokenizer and how it samples to the folder `out`; the files written.

    ``AutoModelForCausalLM.from_pretrained`` and ``AutoTokenizer.from_pretrained`` read it. Adapters are merged into the
    weights. Where the data has prompts, the tokenizer's chat template puts one as training did.

    Raises UsageError when `out` holds something or the generator has no counterpart in transformers, PluginError
    without transformers, CheckpointError when the disk does not take it.
    """
    try:
        import transformers
    except ImportError as error:
        raise PluginError("export to hf needs transformers", fix='pip install "genkit-gan-text[hf]"') from error
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} is there already", where="--out", fix="choose another place, or remove it")
    generator = sampler.generator
    if not isinstance(generator, LanguageGenerator):
        raise UsageError(f"{type(generator).__name__} makes no text that transformers could read")
    facts = generator.facts
    model = counterpart(generator.decoder, facts)
    special = {"bos_token_id": facts.bos, "eos_token_id": facts.eos, "pad_token_id": facts.pad}
    beyond = list(range(facts.vocabulary, model.config.get_text_config().vocab_size))
    model.generation_config = transformers.GenerationConfig(
        do_sample=True,
        temperature=1.0,
        top_p=1.0,
        top_k=0,
        max_new_tokens=facts.length,
        suppress_tokens=beyond or None,  # the tokenizer has no such tokens, and genkit never draws them
        **special,
    )
    temporary = out.parent / f".{out.name}.{os.getpid()}.tmp"
    try:
        temporary.mkdir(parents=True)
        with without_progress():
            model.save_pretrained(temporary)
        if facts.text is not None:
            tokenizer_of(facts.text, prompts=facts.prompt_length > 0).save_pretrained(temporary)
        if out.exists():
            out.rmdir()
        temporary.rename(out)
    except OSError as error:
        raise CheckpointError(f"the export could not be written: {error}", where=str(out)) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return sorted(path for path in out.rglob("*") if path.is_file())


def counterpart(decoder: Decoder, facts: TextFacts) -> PreTrainedModel:
    """The decoder as a transformers model, on the CPU."""
    if getattr(decoder, "label_embedding", None) is not None:
        raise UsageError(
            "this generator takes a label, and no causal language model of transformers does",
            fix="train with the label in the prompt (text.jsonl with prompt and response)",
        )
    if isinstance(decoder, PretrainedDecoder):
        return merged(decoder.model)
    if isinstance(decoder, TransformerDecoder):
        return _llama(decoder, facts)
    raise UsageError(
        f"transformers has no class for {type(decoder).__name__}",
        fix="train with model.generator=text.transformer or text.causal_lm",
    )


def merged(model: PreTrainedModel) -> PreTrainedModel:
    """A copy of `model` on the CPU, its adapters added to the weights that they adapt."""
    model = copy.deepcopy(model).cpu()
    adapters = [(name, part) for name, part in model.named_modules() if hasattr(part, "get_base_layer")]
    for name, part in adapters:
        part.merge(safe_merge=True)
        parent, _, leaf = name.rpartition(".")
        setattr(model.get_submodule(parent), leaf, part.get_base_layer())
    return model


def _llama(decoder: TransformerDecoder, facts: TextFacts) -> PreTrainedModel:
    """`text.transformer` as the Llama that it is."""
    from transformers import LlamaConfig, LlamaForCausalLM

    first: Any = decoder.layers[0]
    width = decoder.embed_tokens.weight.shape[1]
    config = LlamaConfig(
        vocab_size=decoder.vocabulary,
        hidden_size=width,
        intermediate_size=first.mlp.up_proj.weight.shape[0],
        num_hidden_layers=len(decoder.layers),
        num_attention_heads=first.self_attn.heads,
        max_position_embeddings=decoder.positions,
        rms_norm_eps=NORM_EPS,
        rope_parameters={"rope_type": "default", "rope_theta": ROTARY_BASE},
        tie_word_embeddings=decoder.tied,
        bos_token_id=facts.bos,
        eos_token_id=facts.eos,
        pad_token_id=facts.pad if facts.pad not in (facts.bos, facts.eos) else None,
    )
    model: Any = LlamaForCausalLM(config)
    model.to(dtype=decoder.embed_tokens.weight.dtype)
    named = {name if name.startswith("lm_head.") else f"model.{name}": w for name, w in decoder.state_dict().items()}
    model.load_state_dict(named)
    found: PreTrainedModel = model.eval()
    return found


def tokenizer_of(tokenizer: Tokenizer, *, prompts: bool) -> PreTrainedTokenizerFast:
    """The tokenizer as one of transformers. `prompts`: give it a chat template that puts the user's words as genkit
    puts a prompt, with the token that ends it."""
    import tokenizers
    from transformers import PreTrainedTokenizerFast

    backend = tokenizers.Tokenizer.from_str(tokenizer.backend.to_str())
    names = {role: str(backend.id_to_token(getattr(tokenizer, role))) for role in ("bos", "eos", "pad")}
    special = {f"{role}_token": name for role, name in names.items()}
    if backend.token_to_id(UNKNOWN) is not None:
        special["unk_token"] = UNKNOWN
    found = PreTrainedTokenizerFast(
        tokenizer_object=backend, clean_up_tokenization_spaces=False, padding_side="left", **special
    )
    if prompts:
        before, after = tokenizer.template.split(PLACE)
        ended = backend.encode(after, add_special_tokens=False).ids[-1:] == [tokenizer.bos]
        ending = "" if ended else names["bos"]
        found.chat_template = f"{_literal(before)}{{{{ messages[-1]['content'] }}}}{_literal(after + ending)}"
    return found


def _literal(text: str) -> str:
    """`text` in a Jinja template."""
    return f"{{% raw %}}{text}{{% endraw %}}" if text else ""
