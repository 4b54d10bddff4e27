from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

from genkit import Batch, ConfigError, DataError, Random
from genkit_text.data.config import OracleConfig
from genkit_text.data.oracle import Oracle, generator, open_oracle, read_parameters
from genkit_text.facts import TextFacts

SMALL = {"vocabulary": 5, "length": 3, "hidden": 4, "examples": 20_000, "held_out": 200}


@pytest.fixture(scope="module")
def small():
    return open_oracle(OracleConfig(**SMALL))


def arrays(oracle: Oracle) -> list[np.ndarray]:
    """The 15 arrays, in the published order."""
    gates = zip(oracle.inputs.chunk(4, 1), oracle.recurrent.chunk(4, 1), oracle.bias.chunk(4), strict=True)
    parts = [oracle.embedding, *(one for gate in gates for one in gate), oracle.output, oracle.output_bias]
    return [part.numpy().copy() for part in parts]


def test_probabilities_of_all_sequences_sum_to_one(small):
    every = torch.cartesian_prod(*[torch.arange(5)] * 3)
    assert small.log_prob(Batch(every)).sum(1).exp().sum().item() == pytest.approx(1, abs=1e-5)


def test_samples_are_as_frequent_as_they_are_probable(small):
    every = torch.cartesian_prod(*[torch.arange(5)] * 3)
    expected = small.log_prob(Batch(every)).sum(1).exp() * len(small)
    code = (small.resident()["tokens"].long() * torch.tensor([25, 5, 1])).sum(1)
    counts = torch.bincount(code, minlength=125)
    common = expected > 5
    chi_squared = ((counts - expected)[common].square() / expected[common]).sum().item()
    degrees = int(common.sum())
    assert degrees > 10
    assert abs(chi_squared - degrees) < 4 * (2 * degrees) ** 0.5


def test_the_cell_is_torchs_with_one_of_its_two_biases_at_zero(small):
    oracle = small.oracle
    cell = torch.nn.LSTM(4, 4, batch_first=True)
    order = [0, 1, 3, 2]  # torch has the candidate before the output gate
    with torch.no_grad():
        cell.weight_ih_l0.copy_(torch.cat([oracle.inputs.chunk(4, 1)[i] for i in order], 1).T)
        cell.weight_hh_l0.copy_(torch.cat([oracle.recurrent.chunk(4, 1)[i] for i in order], 1).T)
        cell.bias_ih_l0.copy_(torch.cat([oracle.bias.chunk(4)[i] for i in order]))
        cell.bias_hh_l0.zero_()
        tokens = small.resident()["tokens"][:50].long()
        read = torch.cat([torch.zeros(50, 1, dtype=torch.int64), tokens[:, :-1]], 1)
        hidden, _ = cell(oracle.embedding[read])
        expected = (hidden @ oracle.output + oracle.output_bias).log_softmax(-1).gather(2, tokens[..., None])[..., 0]
    torch.testing.assert_close(small.log_prob(Batch(tokens)), expected)


def test_the_twin_of_the_benchmark_has_the_entropy_such_oracles_have():
    data = open_oracle(OracleConfig(seed=3, examples=4000))
    entropy = -data.log_prob(data.prepare(data.resident(), rng=Random(0))).mean().item()
    assert entropy == pytest.approx(2.39, abs=0.05)
    facts = TextFacts.of(data.facts)
    assert (facts.vocabulary, facts.length, facts.bos, facts.eos, facts.tokenizer) == (50, 20, 0, None, None)


def test_what_is_held_out_is_fresh_and_always_the_same(small):
    fresh = small.held_out()
    assert len(fresh) == 200
    assert fresh is small.held_out()
    assert not torch.equal(fresh.resident()["tokens"], small.resident()["tokens"][:200])
    again = open_oracle(OracleConfig(**{**SMALL, "examples": 10})).held_out()
    assert torch.equal(again.resident()["tokens"], fresh.resident()["tokens"])
    assert torch.equal(again.log_prob(Batch(torch.zeros(1, 3).long())), fresh.log_prob(Batch(torch.zeros(1, 3).long())))
    assert open_oracle(OracleConfig(**{**SMALL, "held_out": 0})).held_out() is None


def test_another_seed_is_another_oracle(small):
    other = open_oracle(OracleConfig(**SMALL, seed=1))
    assert not torch.equal(other.oracle.embedding, small.oracle.embedding)


def test_batches_are_tokens_without_mask(small):
    made = small.prepare(small.resident(), rng=Random(0))
    assert made.sample.dtype == torch.int64
    assert made.mask is None
    assert made.condition is None
    assert small.summary()["held out"] == 200


# --- published parameters --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_of_the_published_form_is_read(protocol, tmp_path, small):
    (tmp_path / "oracle.pkl").write_bytes(pickle.dumps(arrays(small.oracle), protocol=protocol))
    data = open_oracle(OracleConfig(**SMALL, parameters=str(tmp_path / "oracle.pkl")))
    for name, value in small.oracle.named_buffers():
        assert torch.equal(data.oracle.get_buffer(name), value)
    assert torch.equal(data.resident()["tokens"], small.resident()["tokens"])


class _Harm:
    def __reduce__(self):
        return print, ("it ran",)


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_that_holds_code_does_not_run_it(protocol, tmp_path, small, capsys):
    harm = [*arrays(small.oracle)[:14], _Harm()]
    (tmp_path / "harm.pkl").write_bytes(pickle.dumps(harm, protocol=protocol))
    with pytest.raises(DataError, match=r"harm\.pkl: .*print, which is no array of numbers"):
        read_parameters(tmp_path / "harm.pkl")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("content", "message"), [
    (b"", "is not a pickle of arrays"),
    (b"\x80\x04no", "is not a pickle of arrays"),
    (pickle.dumps([1.0] * 15), "more than arrays of numbers"),
    (pickle.dumps([np.zeros(1)] * 14), "does not hold 15 arrays"),
    (pickle.dumps([np.zeros((2, 2))] * 15), "not those of an oracle"),
    (pickle.dumps([np.array([None])] * 15), "more than arrays of numbers"),
])  # fmt: skip
def test_a_file_that_is_no_oracle_is_named(content, message, tmp_path):
    (tmp_path / "some.pkl").write_bytes(content)
    with pytest.raises(DataError, match=rf"some\.pkl.*{message}"):
        read_parameters(tmp_path / "some.pkl")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"none\.pkl: can not be read"):
        read_parameters(tmp_path / "none.pkl")


def test_an_oracle_of_another_size_is_refused_with_both_numbers(tmp_path, small):
    (tmp_path / "oracle.pkl").write_bytes(pickle.dumps(arrays(small.oracle)))
    with pytest.raises(ConfigError, match="an oracle with vocabulary 5, not 6"):
        open_oracle(OracleConfig(vocabulary=6, hidden=4, parameters=str(tmp_path / "oracle.pkl")))


def test_chunks_do_not_change_the_first_samples(small):
    few = small.oracle.sample(3, 3, source=generator(0, "x"))
    assert few.shape == (3, 3)
    assert torch.equal(few, small.oracle.sample(3, 3, source=generator(0, "x")))
