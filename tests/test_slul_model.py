"""SLUL's network, losses, vocabulary, weights file and decoding, on tiny seeded networks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from stable_signer.errors import StableSignerError
from stable_signer.slul import losses
from stable_signer.slul.decode import BeamConfig, GlossTrie, Reader, Stepper, beam_search, best_lines
from stable_signer.slul.model import Checkpoint, Slul, SlulConfig, from_t5, relative_buckets, shift_right
from stable_signer.slul.vocabulary import EOS, MASK, PAD, SPECIALS, Vocabulary

TEXTS = [
    "morgen regnet es im norden",
    "am abend scheint die sonne",
    "im norden regnet es",
    "die sonne scheint morgen",
]
LINES = [
    ["MORGEN", "NORD", "REGEN"],
    ["ABEND", "SONNE", "SCHEINEN"],
    ["NORD", "REGEN"],
    ["MORGEN", "SONNE", "WIE-AUSSEHEN"],
]


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return Vocabulary.build(TEXTS, LINES, pieces=45, whole_from=2)


@pytest.fixture(scope="module")
def model(vocabulary: Vocabulary) -> Slul:
    torch.manual_seed(0)
    config = SlulConfig(d_model=32, d_kv=8, d_ff=48, layers=2, heads=4, vocabulary=vocabulary.size)
    return Slul(config, vocabulary).eval()


@pytest.fixture(scope="module")
def checkpoint(model: Slul, vocabulary: Vocabulary) -> Checkpoint:
    return Checkpoint(model.config, vocabulary, [dict(model.tensors())], {"by": "a test"})


def test_every_gloss_comes_back_from_its_ids(vocabulary: Vocabulary) -> None:
    for line in LINES:
        assert [g for g, _ in vocabulary.lines(vocabulary.line_ids(line))] == line
    again = Vocabulary.from_json(vocabulary.to_json())
    assert again.line_ids(LINES[3]) == vocabulary.line_ids(LINES[3])
    assert len(vocabulary.gloss_ids("SONNE")) == 1 and len(vocabulary.gloss_ids("WIE-AUSSEHEN")) > 1


def test_slots_and_tags_are_never_cut(vocabulary: Vocabulary) -> None:
    ids = vocabulary.text_ids("<w1> NOUN sonne <w2>", "gsg")
    assert [SPECIALS[i] for i in ids if i < len(SPECIALS)] == ["<gsg>", "<w1>", "<w2>", "</s>"]
    assert vocabulary.output_mask()[EOS] and not vocabulary.output_mask()[[PAD, MASK]].any()


def test_bpe_dropout_varies_the_pieces_and_can_be_turned_off(vocabulary: Vocabulary) -> None:
    plain = vocabulary.text_ids(TEXTS[0], "gsg")
    assert len({tuple(vocabulary.text_ids(TEXTS[0], "gsg", 0.5)) for _ in range(8)}) > 1
    assert vocabulary.text_ids(TEXTS[0], "gsg") == plain


def test_position_buckets_are_those_of_t5(model: Slul) -> None:
    attention = model.t5.decoder.block[0].layer[0].SelfAttention
    place = torch.arange(60)
    for both in (True, False):
        ours = relative_buckets(60, both, 32, 128)
        theirs = attention._relative_position_bucket(place[None, :] - place[:, None], both, 32, 128)
        assert torch.equal(ours, theirs)


def test_fast_decoding_equals_the_forward_pass_of_transformers(model: Slul, checkpoint: Checkpoint) -> None:
    reader = Reader(checkpoint)
    source = checkpoint.vocabulary.text_ids(TEXTS[0], "gsg")
    targets = torch.tensor([checkpoint.vocabulary.line_ids(LINES[0])])
    ids = torch.tensor([source])
    with torch.no_grad():
        states = model.encode(ids, torch.ones_like(ids))
        logits, hidden = model.decode(shift_right(targets), states, torch.ones_like(ids))
    stepper = Stepper(reader, 0, source)
    assert torch.allclose(stepper.encoded, states, atol=1e-4)
    for position, token in enumerate(shift_right(targets)[0]):
        logp, state = stepper.step(token[None], torch.tensor([0]))
        expected = torch.log_softmax(logits[0, position], -1)
        assert torch.allclose(logp[0, model.outputs], expected, atol=1e-3)
        assert torch.allclose(state[0], hidden[0, position], atol=1e-3)


def test_decoding_obeys_the_trie_always_ends_and_gives_a_state_a_gloss(checkpoint: Checkpoint) -> None:
    reader = Reader(checkpoint)
    trie = GlossTrie(checkpoint.vocabulary, checkpoint.vocabulary.glosses)
    sources = [checkpoint.vocabulary.text_ids(t, "gsg") for t in TEXTS]
    for source in sources:
        found = beam_search(reader, source, trie, BeamConfig(beams=3))
        assert found and [h.score for h in found] == sorted((h.score for h in found), reverse=True)
        for hypothesis in found:
            assert set(hypothesis.glosses) <= set(checkpoint.vocabulary.glosses)
            assert hypothesis.states.shape == (len(hypothesis.glosses), 32)
    assert best_lines(reader, sources, trie) == [best_lines(reader, [s], trie)[0] for s in sources]
    long = checkpoint.vocabulary.text_ids(" ".join(TEXTS * 40), "gsg")
    assert isinstance(beam_search(reader, long, trie), list)


def test_decoding_leaves_the_number_of_threads_as_it_was(checkpoint: Checkpoint) -> None:
    trie = GlossTrie(checkpoint.vocabulary, checkpoint.vocabulary.glosses)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    beam_search(Reader(checkpoint), checkpoint.vocabulary.text_ids(TEXTS[0], "gsg"), trie)
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)


def test_the_trie_allows_whole_glosses_only_and_closes_what_it_opens(vocabulary: Vocabulary) -> None:
    trie = GlossTrie(vocabulary, ["SONNE", "WIE-AUSSEHEN"], tags=True)
    state = trie.start
    sun = vocabulary.gloss_ids("SONNE")[0]
    pieces = vocabulary.gloss_ids("WIE-AUSSEHEN")
    assert trie.mask(state)[sun] == 0 and trie.mask(state)[vocabulary.gloss_ids("REGEN")[0]] < 0
    state = trie.step(state, vocabulary.special_ids["<neg>"])
    assert trie.mask(state)[EOS] < 0
    for piece in pieces[:-1]:
        state = trie.step(state, piece)
        assert trie.mask(state)[sun] < 0
    state = trie.step(state, pieces[-1])
    assert trie.mask(state)[sun] == 0
    state = trie.step(state, vocabulary.special_ids["</neg>"])
    assert trie.mask(state)[EOS] == 0


def test_a_weights_file_comes_back_and_int8_changes_little(tmp_path: Path, checkpoint: Checkpoint) -> None:
    for kind, tolerance in (("float32", 1e-6), ("float16", 1e-2), ("int8", 0.05)):
        path = tmp_path / f"{kind}.safetensors"
        checkpoint.save(path, kind)
        again = Checkpoint.load(path)
        assert again.config == checkpoint.config and again.about == {"by": "a test"}
        for name, tensor in checkpoint.members[0].items():
            assert torch.allclose(again.members[0][name], tensor, atol=tolerance), name
    again.network()  # trainable again
    assert (tmp_path / "int8.safetensors").stat().st_size < (tmp_path / "float16.safetensors").stat().st_size


def test_votes_of_two_equal_networks_change_nothing(checkpoint: Checkpoint) -> None:
    two = Checkpoint(checkpoint.config, checkpoint.vocabulary, checkpoint.members * 2, {})
    trie = GlossTrie(checkpoint.vocabulary, checkpoint.vocabulary.glosses)
    source = checkpoint.vocabulary.text_ids(TEXTS[1], "gsg")
    one = beam_search(Reader(checkpoint), source, trie)[0]
    assert beam_search(Reader(two), source, trie)[0].glosses == one.glosses


def test_foreign_and_broken_files_are_refused(
    tmp_path: Path, checkpoint: Checkpoint, vocabulary: Vocabulary
) -> None:
    from safetensors.torch import save_file

    with pytest.raises(StableSignerError, match="cannot be read"):
        Checkpoint.load(tmp_path / "none.safetensors")
    foreign = tmp_path / "foreign.safetensors"
    save_file({"a": torch.zeros(2)}, foreign)
    with pytest.raises(StableSignerError, match="no SLUL weights"):
        Checkpoint.load(foreign)
    good = tmp_path / "good.safetensors"
    checkpoint.save(good)
    (tmp_path / "cut.safetensors").write_bytes(good.read_bytes()[:-200])
    with pytest.raises(StableSignerError):
        Checkpoint.load(tmp_path / "cut.safetensors")
    other = Slul(
        SlulConfig(d_model=16, d_kv=8, d_ff=16, layers=1, heads=2, vocabulary=vocabulary.size), vocabulary
    )
    with pytest.raises(StableSignerError, match="another architecture"):
        other.load_tensors(checkpoint.members[0])
    with pytest.raises(StableSignerError, match="no SLUL size"):
        SlulConfig.preset("enormous")


def test_a_t5_checkpoint_can_be_started_from(tmp_path: Path, vocabulary: Vocabulary) -> None:
    from transformers import BertConfig, T5Config, T5ForConditionalGeneration

    torch.manual_seed(0)
    folder = tmp_path / "t5"
    source = T5ForConditionalGeneration(
        T5Config(
            vocab_size=50,
            d_model=16,
            d_kv=8,
            d_ff=24,
            num_layers=1,
            num_heads=2,
            feed_forward_proj="gated-gelu",
        )
    )
    source.save_pretrained(folder)
    config, model = from_t5(folder, vocabulary, ("gsg",))
    assert config.feed_forward == "gated-gelu"
    name = "encoder.block.0.layer.0.SelfAttention.q.weight"
    assert torch.equal(model.tensors()[name], source.state_dict()[name])
    reader = Reader(Checkpoint(config, vocabulary, [dict(model.eval().tensors())], {}))
    ids = vocabulary.text_ids(TEXTS[0], "gsg")
    with torch.no_grad():
        expected = model.encode(torch.tensor([ids]), torch.ones(1, len(ids), dtype=torch.long))
    assert torch.allclose(reader.encode(0, ids), expected, atol=1e-4)
    BertConfig().save_pretrained(tmp_path / "bert")
    with pytest.raises(StableSignerError, match="bert"):
        from_t5(tmp_path / "bert", vocabulary, ("gsg",))
    with pytest.raises(StableSignerError, match="no T5 checkpoint"):
        from_t5(tmp_path / "nothing", vocabulary, ("gsg",))


# --- losses ---


def test_mle_is_cross_entropy_and_ignores_padding() -> None:
    torch.manual_seed(0)
    logits = torch.randn(2, 3, 7)
    targets = torch.tensor([[1, 2, losses.IGNORE], [3, losses.IGNORE, losses.IGNORE]])
    expected = torch.nn.functional.cross_entropy(logits.view(-1, 7), targets.view(-1))
    assert torch.allclose(losses.mle_loss(logits, targets), expected)
    expected = torch.nn.functional.cross_entropy(logits.view(-1, 7), targets.view(-1), label_smoothing=0.1)
    assert torch.allclose(losses.mle_loss(logits, targets, 0.1), expected)
    only_first = losses.mle_loss(logits, targets, weights=torch.tensor([1.0, 0.0]))
    assert torch.allclose(only_first, losses.mle_loss(logits[:1], targets[:1]))


def test_sagm_looks_at_masked_tokens_only() -> None:
    torch.manual_seed(0)
    logits = torch.randn(1, 3, 7, requires_grad=True)
    targets = torch.tensor([[1, 2, 3]])
    masked = torch.tensor([[False, True, False]])
    expected = torch.nn.functional.cross_entropy(logits[0, 1:2], targets[0, 1:2])
    assert torch.allclose(losses.sagm_loss(logits, targets, masked), expected)
    nothing = losses.sagm_loss(logits, targets, torch.zeros_like(masked))
    assert nothing == 0 and nothing.requires_grad


def test_kl_is_zero_only_between_equals() -> None:
    torch.manual_seed(0)
    a, b = torch.randn(1, 2, 5), torch.randn(1, 2, 5)
    targets = torch.tensor([[1, 2]])
    assert losses.kl_loss(a, a, targets).abs() < 1e-6
    p, q = a.softmax(-1), b.softmax(-1)
    assert torch.allclose(losses.kl_loss(a, b, targets), (p * (p / q).log()).sum(-1).mean(), atol=1e-5)


def test_contrastive_prefers_the_matching_pair() -> None:
    states = torch.eye(4)[:, None, :].repeat(1, 3, 1)
    mask = torch.ones(4, 3, dtype=torch.bool)
    matched = losses.contrastive_loss(states, mask, states, mask)
    assert matched < losses.contrastive_loss(states, mask, states.roll(1, 0), mask)


def test_lexical_loss_asks_for_every_gloss_from_some_word() -> None:
    logits = torch.full((1, 2, 4), -9.0)
    logits[0, 0, 1], logits[0, 1, 2] = 9.0, 9.0
    mask = torch.ones(1, 2, dtype=torch.bool)
    found = losses.lexical_loss(logits, mask, torch.tensor([[2, 1, 0]]), end=0)
    assert found == pytest.approx(np.log(2), abs=1e-3)


def test_the_mask_prefers_informative_and_confusable_glosses() -> None:
    # 1 stands in every sentence; 2 and 3 stand in the same places; 4 is rare and stands alone
    sequences = [[1, 2, 5], [1, 3, 5], [1, 2, 6], [1, 3, 6], [1, 4], [1, 2, 5], [1, 3, 5]]
    weights = losses.semantic_weights(sequences, 8)
    assert weights[1] < weights[2] and weights[7] == 0
    mean = np.mean([weights[t] for s in sequences for t in s])
    assert mean == pytest.approx(1)
    generator = torch.Generator().manual_seed(0)
    targets = torch.tensor([[1, 2, EOS, losses.IGNORE]]).repeat(4000, 1)
    maskable = torch.tensor([True] * 8)
    maskable[EOS] = False
    uniform = losses.draw_mask(targets, 0.3, None, maskable, generator).float().mean(0)
    assert uniform[1] == pytest.approx(0.3, abs=0.03) and uniform[2] == uniform[3] == 0


def test_the_file_says_what_it_is(tmp_path: Path, checkpoint: Checkpoint) -> None:
    from safetensors import safe_open

    checkpoint.save(tmp_path / "x.safetensors")
    with safe_open(tmp_path / "x.safetensors", "pt") as file:
        assert json.loads(file.metadata()["config"])["d_model"] == 32
