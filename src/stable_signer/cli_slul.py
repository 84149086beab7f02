"""`stable-signer train slul` and `stable-signer evaluate slul`: the commands for researchers.

`cli.py` hooks them in with `register(app)`. Errors are StableSignerErrors, which the app prints (exit code
2).
"""

from __future__ import annotations

import importlib.util
import json
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from stable_signer.errors import StableSignerError

PLANNERS = ("slul", "slul-face", "rules", "copy")
train_app = typer.Typer(help="Train the learned parts on data of your own.", no_args_is_help=True)
evaluate_app = typer.Typer(help="Measure the learned parts.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Hook `train` and `evaluate` into the application."""
    app.add_typer(train_app, name="train")
    app.add_typer(evaluate_app, name="evaluate")


def _needs(*modules: str) -> None:
    """StableSignerError when a library of the extra `train` is not installed."""
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise StableSignerError(f"this command needs {module}: pip install 'stable-signer[train]'")


def _check_plot(plot: Path | None) -> None:
    """Told before a training and not after it."""
    if plot and plot.suffix.lower() != ".png":
        raise StableSignerError(f"the plot {plot} must end in .png")


@train_app.callback()
def _train() -> None:
    """Keeps `slul` a sub-command although it is the only one so far."""


@evaluate_app.callback()
def _evaluate() -> None:
    """Keeps `slul` a sub-command although it is the only one so far."""


@train_app.command("slul")
def train_slul(
    config: Annotated[Path, typer.Option(help="The recipe, TOML: see docs/slul.md.")],
    output: Annotated[Path, typer.Option(help="Folder of the run; an interrupted run in it goes on.")],
    plot: Annotated[Path | None, typer.Option(help="Write the curves of the run to this PNG.")] = None,
) -> None:
    """Train SLUL (text to glosses) by a recipe; the best weights end up in OUTPUT/best.safetensors."""
    _needs("transformers", "tokenizers", "accelerate", "sacrebleu")
    from stable_signer.corpora.examples import load_examples
    from stable_signer.metrics.text import text_scores
    from stable_signer.slul.train import Recipe, plot_log, train

    recipe = Recipe.load(config)
    _check_plot(plot)
    examples, dev = load_examples(recipe.train), load_examples(recipe.dev)
    console = Console()
    console.print(f"{len(examples)} training pairs, {len(dev)} for development, {recipe.epochs} epochs")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("epoch 1")

        def on_batch(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        def on_epoch(line: dict[str, float]) -> None:
            shown = ("mle", "bleu4", "rouge_l", "wer")
            console.print(
                f"epoch {line['epoch']}: " + ", ".join(f"{k} {line[k]:.2f}" for k in shown if k in line)
            )
            bar.update(task, description=f"epoch {line['epoch'] + 1}")

        best = train(recipe, examples, dev, output, text_scores, on_epoch, on_batch)
    if plot:
        plot_log(output / "log.jsonl", plot)
    console.print(f"best weights: {best}")


@evaluate_app.command("slul")
def evaluate_slul(
    data: Annotated[
        Path, typer.Option(help="A TSV with the columns text and gloss, or an NCSLGR export (.json).")
    ],
    language: Annotated[str, typer.Option(help="The signed language: ase or gsg.")] = "gsg",
    planner: Annotated[str, typer.Option(help="slul, rules or copy (upper-cased text).")] = "slul",
    weights: Annotated[Path | None, typer.Option(help="Other SLUL weights than those that ship.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the planner's scores as JSON, nothing else.")
    ] = False,
    lines: Annotated[
        Path | None, typer.Option(help="Also write the planner's glosses here, a line each.")
    ] = None,
) -> None:
    """Score text to gloss: BLEU-1..4, ROUGE-L, WER, exact match, with the other planners beside it."""
    _needs("tokenizers", "sacrebleu")
    from stable_signer.corpora.ncslgr import FACE
    from stable_signer.metrics.text import span_scores, text_scores
    from stable_signer.slul.plan import LANGUAGES, NONMANUALS

    face = [kind for kind in FACE.values() if kind != "gaze-addressee"]  # that is where it looks anyway
    grammar = [kind for kind in NONMANUALS if kind not in face]
    if planner not in PLANNERS:
        raise StableSignerError(f"the planner {planner!r} is unknown: use one of {', '.join(PLANNERS)}")
    if language not in LANGUAGES:
        raise StableSignerError(f"the language {language!r} is unknown: use one of {', '.join(LANGUAGES)}")
    texts, references = _references(data, language)
    wanted = [" ".join(r.glosses) for r in references]
    results: dict[str, dict[str, Any]] = {}
    others = [p for p in PLANNERS if language == "ase" or p != "slul-face"]  # DGS has no spans
    for name in (planner,) if as_json else dict.fromkeys((planner, *others)):
        plan = _planner(name, language, weights)
        made = [plan(t) for t in texts]
        results[name] = text_scores([" ".join(m.glosses) for m in made], wanted)
        for key, kinds in (("nonmanuals", grammar), ("face", face)):
            said, real = ([_only(x, kinds) for x in some] for some in (made, references))
            if any(r.spans for r in real):
                results[name][key] = span_scores(said, real)
        if name == planner and lines:
            lines.write_text("".join(" ".join(m.glosses) + "\n" for m in made), encoding="utf-8")
    if as_json:
        print(json.dumps(results[planner], indent=2))  # noqa: T201 - for a program to read, without a console's colours
    else:
        _show(results, len(texts))


def _references(data: Path, language: str) -> tuple[list[str], list[Any]]:
    from stable_signer.metrics.text import Spanned

    if data.suffix == ".json":
        from stable_signer.corpora.ncslgr import read_ncslgr, split
        from stable_signer.slul.glosses import Glossary

        held = split(read_ncslgr(data, Glossary.load()))[1]
        if not held:
            raise StableSignerError(
                f"{data} has none of the development files that are named in corpora/ncslgr.py"
            )
        return [u.english for u in held], [
            Spanned(u.glosses, [(s.kind, s.first, s.last) for s in (*u.spans, *u.face)]) for u in held
        ]
    from stable_signer.corpora.phoenix import read_tsv

    pairs = read_tsv(data, language)
    return [p.text for p in pairs], [Spanned(p.glosses, []) for p in pairs]


def _planner(name: str, language: str, weights: Path | None) -> Callable[[str], Any]:
    """A function from a text to glosses and spans."""
    from stable_signer.metrics.text import Spanned
    from stable_signer.slul.glosses import Glossary

    if name == "copy":
        return lambda text: Spanned(_copied(text), [])
    if name.startswith("slul") and language == "gsg":
        from stable_signer.slul.decode import GlossTrie
        from stable_signer.slul.planner import german, load_reader

        reader = load_reader("gsg", weights)
        trie = GlossTrie(reader.vocabulary, reader.vocabulary.glosses)

        def glossed(text: str) -> Spanned:
            found = german(reader, text, trie)
            return Spanned(found[0].glosses if found else (), [])

        return glossed
    from stable_signer.slp_moe.nonmanual import shows
    from stable_signer.slul.planner import planner_of

    made = planner_of(name, Glossary.load(), weights)

    def planned(text: str) -> Spanned:
        draft = made.draft(text, language)
        places = [k for k, s in enumerate(draft.signs) if s.kind != "pause"]
        spans = [
            (s.kind, sum(p < s.first for p in places), sum(p <= s.last for p in places) - 1)
            for s in draft.spans
        ]
        seen = ((shown, a, b) for kind, a, b in spans for shown in shows(kind))
        spans = list(dict.fromkeys([*spans, *seen]))
        return Spanned([draft.signs[k].gloss for k in places], spans)

    return planned


def _only(line: Any, kinds: Sequence[str]) -> Any:
    """A line with the spans of these kinds alone."""
    return line._replace(spans=[s for s in line.spans if s[0] in kinds])


def _copied(text: str) -> Sequence[str]:
    """The text upper-cased, umlauts written out as glosses write them."""
    upper = unicodedata.normalize("NFC", text).upper()
    for letter, written in (("Ä", "AE"), ("Ö", "OE"), ("Ü", "UE"), ("ß", "SS")):
        upper = upper.replace(letter, written)
    return "".join(c if c.isalnum() or c in " -'" else " " for c in upper).split()


def _show(results: dict[str, dict[str, Any]], count: int) -> None:
    console = Console()
    table = Table(title=f"text to gloss, {count} sentences (percent)")
    keys = ("bleu1", "bleu2", "bleu3", "bleu4", "rouge_l", "wer", "exact")
    for heading in ("planner", *keys, "length"):
        table.add_column(heading, justify="left" if heading == "planner" else "right")
    for name, scores in results.items():
        table.add_row(name, *(f"{scores[k]:.2f}" for k in keys), f"{scores['length_ratio']:.2f}")
    console.print(table)
    for key, what in (("nonmanuals", "non-manual spans"), ("face", "what face and head are seen to do")):
        if not any(key in s for s in results.values()):
            continue
        table = Table("planner", "kind", "precision", "recall", "F1", "spans", title=f"{what} (percent)")
        for name, scores in results.items():
            for kind, s in scores.get(key, {}).items():
                table.add_row(
                    name, kind, *(f"{s[k]:.1f}" for k in ("precision", "recall", "f1")), f"{s['support']:.0f}"
                )
        console.print(table)
