from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from genkit import Batch, ConfigError, Draw, PluginError, Random, penalties
from genkit.adversarial.judging import CriticJudge
from genkit_text.models.config import CausalLMConfig, LoRAConfig, PretrainedCriticConfig
from genkit_text.models.language import LanguageGenerator, RelaxedGenerator
from genkit_text.models.lstm import build_lstm
from genkit_text.models.pretrained import build_causal_lm, build_pretrained_critic, language_model_facts

transformers = pytest.importorskip("transformers")

V, L, P, B = 23, 8, 6, 5
PAD, BOS, EOS = 0, 1, 2
LLAMA_FORM = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4}
CONFIGS: dict[str, dict[str, Any]] = {
    "gpt2": {"model_type": "gpt2", "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 32},
    "llama": {"model_type": "llama", **LLAMA_FORM, "num_key_value_heads": 2},
    "qwen3": {"model_type": "qwen3", **LLAMA_FORM, "num_key_value_heads": 2, "head_dim": 4},
    "gemma2": {"model_type": "gemma2", **LLAMA_FORM, "num_key_value_heads": 2, "head_dim": 4, "sliding_window": 16},
    "gpt_neox": {"model_type": "gpt_neox", **LLAMA_FORM},
    "opt": {"model_type": "opt", "hidden_size": 16, "ffn_dim": 24, "num_hidden_layers": 2, "num_attention_heads": 2},
}
MAIN = ("gpt2", "llama")


def facts(prompted: bool = False, **more: Any) -> dict[str, Any]:
    known = {"modality": "text", "vocabulary": V, "length": L, "bos": BOS, "eos": EOS, "pad": PAD}
    return known | {"prompt_length": P if prompted else 0} | more


def made(kind: str, known: dict[str, Any], **options: Any) -> LanguageGenerator:
    """A generator with weights that make every logit matter."""
    generator = build_causal_lm(CausalLMConfig(config=CONFIGS[kind], **options), known)
    noise = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter.copy_(0.4 * torch.randn(parameter.shape, generator=noise))
    return generator


def prompts() -> Tensor:
    """Prompts of 6, 4, 1, 2 and 6 tokens."""
    rows = torch.randint(3, V, (B, P), generator=torch.Generator().manual_seed(9))
    rows = torch.where(torch.arange(P) < P - torch.tensor([6, 4, 1, 2, 6])[:, None], PAD, rows)
    rows[:, -1] = BOS
    return rows


def steps(generator: LanguageGenerator, draw: Draw, condition: Tensor | None) -> Tensor:
    """log p of each token of `draw` [B, L] as the sampler, token by token, has them."""
    found = []
    prefix, mask, label = generator.opening(B, condition, draw.sample.device)
    logits, state = generator.decoder.begin(prefix, mask, label, room=L - 1)
    for place in range(L):
        found.append(logits.log_softmax(-1).gather(1, draw.sample[:, place, None]))
        if place < L - 1:
            logits, state = generator.decoder.step(draw.sample[:, place], state)
    return torch.cat(found, 1)


# --- the generator ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", CONFIGS)
@pytest.mark.parametrize("prompted", [False, True])
def test_log_probabilities_by_teacher_forcing_are_the_sampler_s(kind, prompted):
    generator = made(kind, facts(prompted))
    assert generator.training
    condition = prompts() if prompted else None
    draw = generator(generator.latent(B, rng=Random(1)), condition)
    assert draw.mask.sum() > 15
    forced = generator.log_prob(draw, condition)
    assert forced[draw.mask].std() > 0.1
    with torch.no_grad():
        drawn = steps(generator, draw, condition)
    torch.testing.assert_close(forced[draw.mask], drawn[draw.mask], rtol=0, atol=1e-5)
    joined = steps(generator, draw, condition)  # with gradients the keys and values are kept in another way
    torch.testing.assert_close(joined, drawn, rtol=0, atol=1e-5)
    assert joined.requires_grad


@pytest.mark.parametrize("kind", CONFIGS)
def test_more_padding_before_a_prompt_changes_nothing(kind):
    short = made(kind, facts(True))
    long = made(kind, facts(True, prompt_length=P + 3))
    longer = torch.cat([torch.full((B, 3), PAD), prompts()], 1)
    latent = short.latent(B, rng=Random(1))
    one, other = short(latent, prompts()), long(latent, longer)
    assert torch.equal(one.sample, other.sample)
    torch.testing.assert_close(short.log_prob(one, prompts()), long.log_prob(one, longer), rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", MAIN)
def test_log_probabilities_are_transformers_own(kind):
    generator = made(kind, facts(True))
    draw = generator(generator.latent(B, rng=Random(1)), prompts())
    forced = generator.log_prob(draw, prompts())
    model = generator.decoder.model.eval()
    for row in range(B):  # one at a time, without padding, mask or positions
        prompt = prompts()[row]
        whole = torch.cat([prompt[prompt != PAD], draw.sample[row]])[None]
        scores = model(whole).logits.log_softmax(-1)[0, -L - 1 : -1]
        wanted = scores.gather(1, draw.sample[row][:, None])[:, 0]
        torch.testing.assert_close(forced[row][draw.mask[row]], wanted[draw.mask[row]], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "relaxation"), [*((kind, "none") for kind in CONFIGS), *((kind, "straight_through") for kind in MAIN)]
)
@pytest.mark.parametrize("prompted", [False, True])
def test_sampling_and_log_probabilities_run_on_meta(kind, prompted, relaxation):
    with torch.device("meta"):
        generator = build_causal_lm(CausalLMConfig(config=CONFIGS[kind], relaxation=relaxation), facts(prompted))
    condition = prompts().to("meta") if prompted else None
    draw = generator(generator.latent(B, rng=Random(1, "meta")), condition)
    assert draw.mask.shape == (B, L)
    if relaxation == "none":
        generator.log_prob(draw, condition).sum().backward()
    else:
        draw.sample.sum().backward()
    assert all(one.grad is not None for one in generator.parameters() if one.requires_grad)


@pytest.mark.parametrize("kind", ["gpt2", "gemma2"])  # the second scales its embeddings
def test_relaxed_tokens_are_read_as_their_ids(kind):
    generator = made(kind, facts(True), relaxation="straight_through")
    assert isinstance(generator, RelaxedGenerator)
    latent = generator.latent(B, rng=Random(1))
    draw = generator(latent, prompts())
    draw.sample.square().sum().backward()
    assert generator.decoder.model.get_input_embeddings().weight.grad.abs().sum() > 0
    generator.eval()
    assert torch.equal(draw.sample.argmax(-1), generator(latent, prompts()).sample)


def test_ids_that_the_tokenizer_has_not_are_never_drawn(tmp_path):
    big = made("gpt2", facts(vocabulary=V + 40))
    big.decoder.model.save_pretrained(tmp_path)
    generator = build_causal_lm(CausalLMConfig(path=str(tmp_path)), facts())
    latent = generator.latent(200, rng=Random(1))
    assert big(latent).sample.max() > V
    assert generator(latent).sample.max() < V
    assert generator.log_prob(Draw(torch.zeros(1, L, dtype=torch.int64))).exp().max() < 1


@pytest.mark.parametrize("kind", MAIN)
def test_a_model_comes_with_its_weights_and_without_its_dropout(tmp_path, kind):
    config = transformers.AutoConfig.for_model(**CONFIGS[kind], vocab_size=V)
    for name in ("attn_pdrop", "resid_pdrop", "embd_pdrop", "attention_dropout"):
        if hasattr(config, name):
            setattr(config, name, 0.5)
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    model.save_pretrained(tmp_path)
    generator = build_causal_lm(CausalLMConfig(path=str(tmp_path)), facts()).train()
    draw = generator(generator.latent(B, rng=Random(1)))
    read = torch.cat([torch.full((B, 1), BOS), draw.sample[:, :-1]], 1)
    wanted = model(read).logits.log_softmax(-1).gather(2, draw.sample[:, :, None])[..., 0]
    torch.testing.assert_close(generator.log_prob(Draw(draw.sample)), wanted, rtol=0, atol=1e-5)


def test_a_label_steers_and_starts_by_doing_nothing():
    generator = build_causal_lm(CausalLMConfig(config=CONFIGS["gpt2"]), facts(labels=["a", "b"]))
    latent = generator.latent(B, rng=Random(1))
    draw = generator(latent, torch.zeros(B, dtype=torch.int64))
    first, second = (generator.log_prob(draw, torch.full((B,), label)) for label in (0, 1))
    torch.testing.assert_close(first, second)
    torch.nn.init.normal_(generator.decoder.label_embedding.weight)
    first, second = (generator.log_prob(draw, torch.full((B,), label)) for label in (0, 1))
    assert not torch.allclose(first, second)


@pytest.mark.parametrize("kind", ["llama", "gemma2"])
@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_padding_gives_no_nan_in_low_precision(kind, dtype):
    generator = made(kind, facts(True), dtype=dtype)
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == "fp32"):
        draw = generator(generator.latent(B, rng=Random(1)), prompts())
        forced = generator.log_prob(draw, prompts())
        with torch.no_grad():
            drawn = steps(generator, draw, prompts())
    forced.sum().backward()
    torch.testing.assert_close(forced[draw.mask], drawn[draw.mask].float(), rtol=0, atol=0.1)
    assert all(one.grad is None or one.grad.isfinite().all() for one in generator.parameters())


# --- from a checkpoint -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lora", [None, LoRAConfig(rank=2)])
def test_facts_and_weights_alone_bring_a_generator_back(tmp_path, lora):
    if lora is not None:
        pytest.importorskip("peft")
    made("llama", facts()).decoder.model.save_pretrained(tmp_path / "model")
    options = CausalLMConfig(path=str(tmp_path / "model"), lora=lora)
    generator = build_causal_lm(options, facts(True))
    stored = json.loads(json.dumps(language_model_facts(generator)))
    for file in (tmp_path / "model").iterdir():
        file.unlink()
    again = build_causal_lm(options, facts(True, language_model=stored))
    assert not torch.equal(next(again.parameters()), next(generator.parameters()))
    again.load_state_dict(generator.state_dict())
    latent = generator.latent(B, rng=Random(1))
    draw = generator(latent, prompts())
    assert torch.equal(again(latent, prompts()).sample, draw.sample)
    torch.testing.assert_close(again.log_prob(draw, prompts()), generator.log_prob(draw, prompts()))


def test_only_a_transformers_model_has_a_config_to_keep():
    from genkit_text.models.config import LSTMConfig

    assert language_model_facts(build_lstm(LSTMConfig(width=4), facts())) is None


# --- adapters --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", MAIN)
def test_adapters_alone_train_and_start_as_the_model(tmp_path, kind):
    pytest.importorskip("peft")
    made(kind, facts(True)).decoder.model.save_pretrained(tmp_path)
    plain = build_causal_lm(CausalLMConfig(path=str(tmp_path)), facts(True))
    torch.manual_seed(0)
    adapted = build_causal_lm(CausalLMConfig(path=str(tmp_path), lora=LoRAConfig(rank=2)), facts(True))
    training = [name for name, one in adapted.named_parameters() if one.requires_grad]
    assert training
    assert all("lora_" in name for name in training)
    draw = plain(plain.latent(B, rng=Random(1)), prompts())
    found = adapted.log_prob(draw, prompts())
    torch.testing.assert_close(found, plain.log_prob(draw, prompts()))
    optimizer = torch.optim.Adam([one for one in adapted.parameters() if one.requires_grad], lr=0.03)
    for _ in range(5):
        optimizer.zero_grad()
        (-adapted.log_prob(draw, prompts()).sum(1).mean()).backward()
        optimizer.step()
    assert adapted.log_prob(draw, prompts()).sum() > found.sum() + 1


def test_adapters_of_a_bf16_model_are_fp32(tmp_path):
    pytest.importorskip("peft")
    options = CausalLMConfig(config=CONFIGS["llama"], lora=LoRAConfig(rank=2, targets=("q_proj",)), dtype="bf16")
    generator = build_causal_lm(options, facts(True))
    kinds = {one.dtype for one in generator.parameters() if one.requires_grad}
    assert kinds == {torch.float32}
    assert {one.dtype for one in generator.parameters() if not one.requires_grad} == {torch.bfloat16}
    draw = generator(generator.latent(B, rng=Random(1)), prompts())
    generator.log_prob(draw, prompts()).sum().backward()
    assert all(one.grad is not None for one in generator.parameters() if one.requires_grad)


def test_a_layer_that_is_not_there_can_not_be_adapted():
    pytest.importorskip("peft")
    with pytest.raises(ConfigError, match="nowhere"):
        made("llama", facts(), lora=LoRAConfig(targets=("nowhere",)))


# --- the critic ------------------------------------------------------------------------------------------------------


def critic_of(kind: str, **options: Any) -> Any:
    critic = build_pretrained_critic(PretrainedCriticConfig(config=CONFIGS[kind], **options), facts(True))
    torch.manual_seed(3)
    with torch.no_grad():
        for parameter in critic.parameters():
            torch.nn.init.normal_(parameter, std=0.4)
    return critic


def rows() -> tuple[Tensor, Tensor]:
    found = torch.randint(3, V, (B, L), generator=torch.Generator().manual_seed(4))
    mask = torch.arange(L) < torch.tensor([8, 3, 1, 5, 7])[:, None]
    return torch.where(mask, found, PAD), mask


@pytest.mark.parametrize("kind", CONFIGS)
def test_the_critic_reads_prompt_and_sample_and_no_padding(kind):
    critic = critic_of(kind)
    sample, mask = rows()
    logits = critic(sample, prompts(), mask).logits[0]
    assert logits.shape == (B, 1)
    assert logits.std() > 1e-3
    for row in range(B):  # alone and without padding
        prompt, length = prompts()[row], int(mask[row].sum())
        alone = critic(sample[row : row + 1, :length], prompt[prompt != PAD][None]).logits[0]
        torch.testing.assert_close(alone, logits[row : row + 1], rtol=0, atol=1e-5)
    soft = torch.nn.functional.one_hot(sample, V).float()
    torch.testing.assert_close(critic(critic.penalty_input(soft), prompts(), mask).logits[0], logits)


@pytest.mark.parametrize("lora", [None, LoRAConfig(rank=2)])
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_gradient_penalties_train_the_critic(device, lora):
    if lora is not None:
        pytest.importorskip("peft")
    with torch.device(device):
        critic = build_pretrained_critic(PretrainedCriticConfig(config=CONFIGS["llama"], lora=lora), facts(True))
    sample, mask = (one.to(device) for one in rows())
    side = Batch(sample, prompts().to(device), mask)
    judge = CriticJudge(critic)
    judged = judge(side.sample, side.condition, side.mask, gradient=True)
    penalties.R1()(judged, judged, judge, Random(0, device)).backward()
    training = [one for one in critic.parameters() if one.requires_grad]
    assert sum(one.grad is not None for one in training) >= len(training) - 1  # not the head's bias
    if device == "cpu":
        assert all(one.grad is None or one.grad.isfinite().all() for one in training)


# --- what does not fit -----------------------------------------------------------------------------------------------


def refused(known: dict[str, Any] | None = None, **options: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        build_causal_lm(CausalLMConfig(**options), known or facts())
    return str(caught.value)


def test_a_model_comes_from_one_place(tmp_path):
    assert "given: none" in refused()
    assert "given: path, config" in refused(path=str(tmp_path), config=CONFIGS["gpt2"])


def test_a_folder_says_what_it_lacks(tmp_path):
    assert "no such folder" in refused(path=str(tmp_path / "none"))
    assert "no config.json" in refused(path=str(tmp_path))
    made("gpt2", facts()).decoder.model.save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    assert "only pickled ones" in refused(path=str(tmp_path))
    (tmp_path / "pytorch_model.bin").unlink()
    assert "no weights in safetensors" in refused(path=str(tmp_path))
    (tmp_path / "model.safetensors").write_bytes(b"\0" * 64)
    assert "can not be built" in refused(path=str(tmp_path))


def test_weights_that_lack_a_layer_are_refused(tmp_path: Path):
    from safetensors.torch import load_file, save_file

    made("llama", facts()).decoder.model.save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    assert "model.layers.1.mlp.up_proj.weight" in refused(path=str(tmp_path))


def test_a_vocabulary_larger_than_the_model_s_is_refused(tmp_path):
    made("gpt2", facts()).decoder.model.save_pretrained(tmp_path)
    said = refused(facts(vocabulary=V + 1), path=str(tmp_path))
    assert f"{V + 1}" in said
    assert f"{V}" in said


def test_rows_longer_than_the_model_reads_are_refused():
    short = CONFIGS["gpt2"] | {"n_positions": P + L - 1}
    build_causal_lm(CausalLMConfig(config=short), facts(True))
    said = refused(facts(True), config=short | {"n_positions": P + L - 2})
    assert "13 to read" in said
    assert "12 positions" in said
    assert "window" in refused(facts(True), config=CONFIGS["gemma2"] | {"sliding_window": 5})
    with pytest.raises(ConfigError, match="14 to read"):  # a critic reads the last token too
        build_pretrained_critic(PretrainedCriticConfig(config=short), facts(True))


def test_a_config_that_is_none_is_refused():
    assert "gpt2" in refused(config={"model_type": "gpt-2"})
    assert "n_layer" in refused(config=CONFIGS["gpt2"] | {"n_layers": 2})
    assert "position_ids" in refused(config={"model_type": "bloom", "hidden_size": 16, "n_layer": 1, "n_head": 2})
    assert "not attention" in refused(
        config={"model_type": "qwen3_next", **LLAMA_FORM, "layer_types": ["linear_attention", "full_attention"]}
    )


def test_code_that_comes_with_a_model_is_not_run(tmp_path):
    described = {"model_type": "mine", "auto_map": {"AutoConfig": "code.Config", "AutoModelForCausalLM": "code.Model"}}
    (tmp_path / "config.json").write_text(json.dumps(described))
    (tmp_path / "model.safetensors").write_bytes(b"")
    (tmp_path / "code.py").write_text("raise SystemExit('it was run')")
    assert "can not be used" in refused(path=str(tmp_path))


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(PluginError, match=r"genkit-gan-text\[hf\]"):
        build_causal_lm(CausalLMConfig(config=CONFIGS["gpt2"]), facts())


def test_adapters_without_peft_are_named_with_their_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(PluginError, match=r"genkit-gan-text\[lora\]"):
        build_causal_lm(CausalLMConfig(config=CONFIGS["gpt2"], lora=LoRAConfig()), facts())
