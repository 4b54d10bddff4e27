from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from genkit import CheckpointError, Draw, Random, Sampler, SamplerParts, UsageError
from genkit_text.export import to_hf, tokenizer_of
from genkit_text.models.config import CausalLMConfig, LoRAConfig, LSTMConfig, TransformerConfig
from genkit_text.models.language import LanguageGenerator
from genkit_text.models.lstm import build_lstm
from genkit_text.models.pretrained import build_causal_lm
from genkit_text.models.transformer import build_transformer
from genkit_text.tokenization import Tokenizer, train_tokenizer

transformers = pytest.importorskip("transformers")

L, P = 10, 9
TEXTS = ["Dear Ann, the tea was cold.", "Thank you for the tea!", "It is a café; “quite” so…", "no, no and no"]
GPT2 = {"model_type": "gpt2", "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 32}


def tokenizer(kind: str = "bpe", template: str = "{prompt}") -> Tokenizer:
    made = train_tokenizer(kind, TEXTS, 300)
    return Tokenizer(made.backend, made.bos, made.eos, made.pad, template)


def facts(text: Tokenizer | None, *, prompted: bool = False, **more: Any) -> dict[str, Any]:
    known: dict[str, Any] = {"modality": "text", "vocabulary": 300, "length": L, "bos": 1, "eos": 2, "pad": 0}
    if text is not None:
        known |= {"vocabulary": text.vocabulary, "tokenizer": text.to_facts()}
    return known | {"prompt_length": P if prompted else 0} | more


def sampler(generator: LanguageGenerator) -> Sampler:
    noise = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=noise))
    return Sampler(SamplerParts(generator, None, None), facts={})


def reloaded(out: Path) -> tuple[Any, Any]:
    model = transformers.AutoModelForCausalLM.from_pretrained(out, local_files_only=True).eval()
    return model, transformers.AutoTokenizer.from_pretrained(out, local_files_only=True)


GENERATORS = {
    "gpt2": lambda known: build_causal_lm(CausalLMConfig(config=GPT2), known),
    "llama": lambda known: build_causal_lm(
        CausalLMConfig(
            config={
                "model_type": "llama",
                "hidden_size": 16,
                "intermediate_size": 24,
                "num_hidden_layers": 2,
                "num_attention_heads": 4,
            }
        ),
        known,
    ),
    "transformer": lambda known: build_transformer(TransformerConfig(width=16, layers=2, heads=2), known),
    "untied transformer": lambda known: build_transformer(
        TransformerConfig(width=16, layers=2, heads=2, hidden=40, tied=False), known
    ),
}


@pytest.mark.parametrize("kind", GENERATORS)
def test_transformers_gives_the_same_logits_tokens_and_settings(kind, tmp_path):
    text = tokenizer()
    made = sampler(GENERATORS[kind](facts(text)))
    written = to_hf(made, tmp_path / "out")
    assert {"config.json", "model.safetensors", "tokenizer.json", "generation_config.json"} <= {p.name for p in written}
    assert [path.name for path in tmp_path.iterdir()] == ["out"], "nothing else is left behind"
    model, tokens = reloaded(tmp_path / "out")
    read = torch.randint(0, text.vocabulary, (3, L), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        ours = made.generator.decoder(read)
        assert ours.std() > 0.1
        torch.testing.assert_close(model(read).logits, ours, rtol=0, atol=1e-5)
    for line in (*TEXTS, "never seen: ψ 😀"):
        assert tokens(line, add_special_tokens=False).input_ids == text.encode(line)
        assert tokens.decode(text.encode(line)) == text.decode(text.encode(line)) == line
    assert (tokens.bos_token_id, tokens.eos_token_id, tokens.pad_token_id) == (1, 2, 0)
    settings = model.generation_config
    assert (settings.do_sample, settings.temperature, settings.top_p, settings.top_k) == (True, 1.0, 1.0, 0)
    assert (settings.bos_token_id, settings.eos_token_id, settings.pad_token_id) == (1, 2, 0)
    assert settings.max_new_tokens == L


def test_transformers_draws_from_the_same_distribution(tmp_path):
    made = sampler(GENERATORS["transformer"](facts(tokenizer())))
    to_hf(made, tmp_path / "out")
    model, _ = reloaded(tmp_path / "out")
    torch.manual_seed(0)
    drawn = model.generate(torch.ones(500, 1, dtype=torch.int64))[:, 1:]
    mask = (drawn == 2).int().cumsum(1) - (drawn == 2).int() == 0
    ours = made.generator(made.generator.latent(500, rng=Random(0)))
    with torch.no_grad():
        theirs = made.generator.log_prob(Draw(drawn, mask)).sum(1)
        own = made.generator.log_prob(ours).sum(1)
    error = (theirs.var() / 500 + own.var() / 500).sqrt()
    assert (theirs.mean() - own.mean()).abs() < 4 * error


@pytest.mark.parametrize("kind", ["characters", "words"])
def test_other_tokenizers_leave_too(kind, tmp_path):
    text = tokenizer(kind)
    tokenizer_of(text, prompts=False).save_pretrained(tmp_path)
    tokens = transformers.AutoTokenizer.from_pretrained(tmp_path, local_files_only=True)
    for line in TEXTS:
        assert tokens(line, add_special_tokens=False).input_ids == text.encode(line)
        assert tokens.decode(text.encode(line)) == text.decode(text.encode(line))
    assert tokens.unk_token_id == 3


@pytest.mark.parametrize("template", ["{prompt}", "Q: {prompt}\nA:", "<s>{{ {prompt} %}", "{prompt} <s>"])
def test_a_prompt_is_put_as_training_put_it(template, tmp_path):
    text = tokenizer(template=template)
    made = sampler(build_transformer(TransformerConfig(width=16, layers=1, heads=2), facts(text, prompted=True)))
    to_hf(made, tmp_path / "out")
    _, tokens = reloaded(tmp_path / "out")
    for prompt in ("Thank you", "no"):
        found = tokens.apply_chat_template([{"role": "user", "content": prompt}], return_dict=False)
        assert found == text.prompt_tokens(prompt)


@pytest.mark.parametrize("config", [GPT2, {"model_type": "llama", "hidden_size": 16, "num_attention_heads": 2}])
def test_adapters_are_merged(config, tmp_path):
    pytest.importorskip("peft")
    sizes = {"intermediate_size": 24, "num_hidden_layers": 2} if config["model_type"] == "llama" else {}
    options = CausalLMConfig(config={**config, **sizes}, lora=LoRAConfig(rank=2))
    made = sampler(build_causal_lm(options, facts(tokenizer(), prompted=True)))
    before = {name: tensor.clone() for name, tensor in made.generator.state_dict().items()}
    to_hf(made, tmp_path / "out")
    model, _ = reloaded(tmp_path / "out")
    assert not any("lora" in name or "base_layer" in name for name in model.state_dict())
    read = torch.randint(0, 290, (3, L), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(model(read).logits, made.generator.decoder(read), rtol=0, atol=1e-5)
    assert all(torch.equal(tensor, before[name]) for name, tensor in made.generator.state_dict().items())


def test_ids_that_the_tokenizer_has_not_are_not_generated(tmp_path):
    text = tokenizer()
    big = sampler(build_causal_lm(CausalLMConfig(config=GPT2), facts(None, vocabulary=text.vocabulary + 60)))
    big.generator.decoder.model.save_pretrained(tmp_path / "model")
    made = build_causal_lm(CausalLMConfig(path=str(tmp_path / "model")), facts(text))
    to_hf(Sampler(SamplerParts(made, None, None), facts={}), tmp_path / "out")
    model, _ = reloaded(tmp_path / "out")
    drawn: Tensor = model.generate(torch.ones(100, 1, dtype=torch.int64))
    assert drawn.max() < text.vocabulary
    assert model.config.vocab_size == text.vocabulary + 60


def test_what_has_no_counterpart_is_said(tmp_path):
    with pytest.raises(UsageError, match="LSTMDecoder"):
        to_hf(sampler(build_lstm(LSTMConfig(width=4), facts(None))), tmp_path / "out")
    labelled = build_transformer(TransformerConfig(width=16, layers=1, heads=2), facts(None, labels=["a", "b"]))
    with pytest.raises(UsageError, match="label"):
        to_hf(sampler(labelled), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_never_written_over(tmp_path):
    made = sampler(build_transformer(TransformerConfig(width=16, layers=1, heads=2), facts(None)))
    (tmp_path / "out").mkdir()
    to_hf(made, tmp_path / "out")  # an empty folder is as good as none
    kept = (tmp_path / "out" / "config.json").read_bytes()
    with pytest.raises(UsageError, match="there already"):
        to_hf(made, tmp_path / "out")
    assert (tmp_path / "out" / "config.json").read_bytes() == kept


def test_a_disk_that_does_not_take_it_leaves_nothing(tmp_path, monkeypatch):
    made = sampler(build_transformer(TransformerConfig(width=16, layers=1, heads=2), facts(tokenizer())))

    def full(*args: object, **kwargs: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(transformers.PreTrainedTokenizerFast, "save_pretrained", full)
    with pytest.raises(CheckpointError, match="No space left"):
        to_hf(made, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
