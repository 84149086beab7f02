"""Training: recipes, a run that learns, one that is resumed, and the errors a user meets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from stable_signer.cli_slul import evaluate_app, train_app
from stable_signer.errors import StableSignerError
from stable_signer.metrics.text import text_scores
from stable_signer.slul.decode import BeamConfig, GlossTrie, Reader, best_lines
from stable_signer.slul.model import Checkpoint, Slul, SlulConfig
from stable_signer.slul.train import Example, Recipe, Run, merge, plot_log, train

PLACES = ("norden", "süden", "westen", "osten")
WEATHER = {"regnet es": "REGEN", "scheint die sonne": "SONNE", "schneit es": "SCHNEE"}
EXAMPLES = [
    Example(f"morgen {what} im {place}", ("MORGEN", place.upper().replace("Ü", "UE"), gloss), "gsg")
    for place in PLACES
    for what, gloss in WEATHER.items()
] * 4
TINY = {
    "size": "tiny",
    "pieces": 60,
    "batch": 8,
    "warmup": 10,
    "dropout": 0.0,
    "evaluate_every": 2,
    "bpe_dropout": 0.0,
}


def recipe(**changes: object) -> Recipe:
    return Recipe.from_dict({**TINY, "epochs": 12, **changes})


def test_a_small_run_learns_its_data_with_all_losses(tmp_path: Path) -> None:
    seen: list[dict] = []
    best = train(
        recipe(sagm=0.2, kl=0.3, contrastive=0.1, epochs=40, average=0.9, evaluate_every=10),
        EXAMPLES,
        EXAMPLES[:12],
        tmp_path,
        text_scores,
        seen.append,
    )
    checkpoint = Checkpoint.load(best)
    reader = Reader(checkpoint)
    trie = GlossTrie(checkpoint.vocabulary, checkpoint.vocabulary.glosses)
    ids = [checkpoint.vocabulary.text_ids(e.text, "gsg") for e in EXAMPLES[:12]]
    right = sum(h == e.glosses for h, e in zip(best_lines(reader, ids, trie, BeamConfig(reward=0)), EXAMPLES))
    assert right >= 9
    assert {"mle", "sagm", "kl", "contrastive", "lexical", "bleu4", "wer"} <= set(seen[-1])
    assert seen[-1]["mle"] < seen[0]["mle"]
    plot_log(tmp_path / "log.jsonl", tmp_path / "curves.png")
    assert Image.open(tmp_path / "curves.png").size == (960, 760)
    both = merge([best, best])
    assert len(both.members) == 2


def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    small = recipe(epochs=4, sagm=0.2, kl=0.2)
    whole = train(small, EXAMPLES[:24], EXAMPLES[:4], tmp_path / "whole", text_scores)

    class Interrupted(Exception):
        pass

    def stop(line: dict) -> None:
        if line["epoch"] == 3:
            raise Interrupted

    with pytest.raises(Interrupted):
        train(small, EXAMPLES[:24], EXAMPLES[:4], tmp_path / "cut", text_scores, stop)
    again = train(small, EXAMPLES[:24], EXAMPLES[:4], tmp_path / "cut", text_scores)
    for a, b in zip(
        torch.load(tmp_path / "whole" / "state.pt")["model"].values(),
        torch.load(tmp_path / "cut" / "state.pt")["model"].values(),
    ):
        assert torch.allclose(a, b, atol=1e-5)
    assert whole.name == again.name
    with pytest.raises(StableSignerError, match="another recipe"):
        train(recipe(epochs=5), EXAMPLES[:24], EXAMPLES[:4], tmp_path / "cut", text_scores)


def test_a_run_can_start_from_weights(tmp_path: Path) -> None:
    first = train(recipe(epochs=1), EXAMPLES, EXAMPLES[:4], tmp_path / "a", text_scores)
    run = Run(recipe(start=str(first), dropout=0.1), EXAMPLES, EXAMPLES[:4], tmp_path)
    assert (
        run.config.dropout == 0.1 and run.vocabulary.to_json() == Checkpoint.load(first).vocabulary.to_json()
    )
    with pytest.raises(StableSignerError, match="nothing to train on"):
        Run(recipe(), [], [], tmp_path)


def test_recipes_are_checked(tmp_path: Path) -> None:
    with pytest.raises(StableSignerError, match="no recipe"):
        Recipe.load(tmp_path / "none.toml")
    for text, message in (
        ("epochs = ", "not TOML"),
        ("speed = 3", "unknown key 'speed'"),
        ("epochs = 'many'", "epochs must be int"),
        ("size = 'huge'", "no SLUL size"),
        ("epochs = 0", "at least 1"),
    ):
        path = tmp_path / "recipe.toml"
        path.write_text(text)
        with pytest.raises(StableSignerError, match=message):
            Recipe.load(path)
    path.write_text("dropout = 0\ntrain = 'tsv:gsg:x.tsv'\n")
    assert Recipe.load(path).train == ("tsv:gsg:x.tsv",)
    assert recipe().fingerprint == recipe().fingerprint != recipe(seed=2).fingerprint


def tsv(path: Path, examples: list[Example]) -> Path:
    lines = ["name\ttext\tgloss", *(f"{i}\t{e.text}\t{' '.join(e.glosses)}" for i, e in enumerate(examples))]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_train_and_evaluate_from_the_command_line(tmp_path: Path) -> None:
    data = tsv(tmp_path / "data.tsv", EXAMPLES[:24])
    config = tmp_path / "recipe.toml"
    keys = {**TINY, "epochs": 2, "train": [f"2*tsv:gsg:{data}"], "dev": [f"tsv:gsg:{data}"]}
    config.write_text("\n".join(f"{k} = {json.dumps(v)}" for k, v in keys.items()))
    runner = CliRunner()
    out = tmp_path / "run"
    made = runner.invoke(
        train_app, ["slul", "--config", str(config), "--output", str(out), "--plot", str(tmp_path / "p.png")]
    )
    assert made.exit_code == 0, made.output
    assert (tmp_path / "p.png").exists() and "48 training pairs" in made.output
    call = ["slul", "--data", str(data), "--weights", str(out / "best.safetensors")]
    measured = runner.invoke(evaluate_app, [*call, "--json", "--lines", str(tmp_path / "lines.txt")])
    scores = json.loads(measured.stdout)
    assert {"bleu1", "bleu2", "bleu3", "bleu4", "rouge_l", "wer", "exact"} <= set(scores)
    assert len((tmp_path / "lines.txt").read_text().splitlines()) == 24
    table = runner.invoke(evaluate_app, [*call, "--planner", "rules"])
    assert all(name in table.output for name in ("slul", "rules", "copy"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--planner", "magic"], "planner 'magic' is unknown"),
        (["--language", "xyz"], "language 'xyz' is unknown"),
        (["--data", "none.tsv"], "cannot be read"),
        (["--weights", "none.safetensors"], "cannot be read"),
        (["--data", "{columns}"], "no column 'gloss'"),
        (["--language", "ase", "--weights", "{german}"], "not for ase"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path: Path, options: list[str], message: str) -> None:
    data = tsv(tmp_path / "data.tsv", EXAMPLES[:2])
    columns = tmp_path / "columns.tsv"
    columns.write_text("name\ttext\n1\thallo\n")
    run = Run(recipe(lsa=False), EXAMPLES, EXAMPLES[:2], tmp_path)
    german = tmp_path / "german.safetensors"
    Checkpoint(run.config, run.vocabulary, [dict(Slul(run.config, run.vocabulary).tensors())], {}).save(
        german
    )
    options = [o.format(columns=columns, german=german) for o in options]
    result = CliRunner().invoke(evaluate_app, ["slul", "--data", str(data), *options])
    assert isinstance(result.exception, StableSignerError) and message in str(result.exception)
    assert "\n" not in str(result.exception)


def test_sizes_have_names() -> None:
    assert SlulConfig.preset("small").d_model == 192


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for app, options in (
        (train_app, ["slul", "--config", "x.toml", "--output", str(tmp_path)]),
        (evaluate_app, ["slul", "--data", "x.tsv"]),
    ):
        result = CliRunner().invoke(app, options)
        assert isinstance(result.exception, StableSignerError) and "[train]" in str(result.exception)
