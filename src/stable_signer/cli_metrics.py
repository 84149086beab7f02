"""Commands that measure: `train handshape`, `train recogniser`, `evaluate signs`, `study make`.

`cli.py` hooks them in with `register(app)`.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from stable_signer.cli_slul import evaluate_app, train_app
from stable_signer.errors import StableSignerError

study_app = typer.Typer(help="Ask people: build the page of a study.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Hook `study` into the application, the others into `train` and `evaluate` of `cli_slul`."""
    app.add_typer(study_app, name="study")
    train_app.command("handshape")(train_handshape)
    train_app.command("recogniser")(train_recogniser)
    evaluate_app.command("signs")(evaluate_signs)
    evaluate_app.command("end-to-end")(evaluate_end_to_end)


def _destination(path: Path, suffix: str = ".safetensors") -> Path:
    """A file that can be written, before anything slow begins."""
    if path.suffix != suffix:
        raise StableSignerError(f"the output {path} must end in {suffix}")
    if not path.resolve().parent.is_dir():
        raise StableSignerError(f"the folder of {path} does not exist: make it first")
    return path


def train_handshape(
    data: Annotated[Path, typer.Option(help="Folder with asl_alphabet_cc0.npz and wlasl_holistic.npz.")],
    asl_lex: Annotated[Path, typer.Option(help="ASL-LEX 2.0's table, signdata CSV.")],
    out: Annotated[Path, typer.Option(help="The weights to write, .safetensors.")],
    seed: Annotated[int, typer.Option(help="The same seed gives the same weights.")] = 0,
) -> None:
    """Train the reader of handshapes and letters; prints its held-out figures as JSON."""
    from stable_signer.corpora.hands import train_reader

    _destination(out)
    reader, figures = train_reader(data, asl_lex, seed)
    reader.save(out)
    print(json.dumps(figures, indent=2))  # noqa: T201 - for a program to read


def train_recogniser(
    data: Annotated[Path, typer.Option(help="Folder with the motion sets (signavatars_smplx.npz, …).")],
    out: Annotated[Path, typer.Option(help="The weights to write, .safetensors.")],
    seed: Annotated[int, typer.Option(help="The same seed gives the same weights.")] = 0,
    steps: Annotated[int, typer.Option(help="Batches to train on.", min=1)] = 2000,
    members: Annotated[int, typer.Option(help="Networks, differing in their seed.", min=1, max=8)] = 1,
) -> None:
    """Train the recogniser of isolated signs on real takes; prints its held-out figures as JSON."""
    from stable_signer.corpora import recogniser as corpus
    from stable_signer.metrics.recognition import Config

    _destination(out)
    made, figures = corpus.train_recogniser(data, seed=seed, steps=steps, configs=(Config(),) * members)
    made.save(out)
    print(json.dumps(figures, indent=2))  # noqa: T201 - for a program to read


def evaluate_signs(
    recogniser: Annotated[Path | None, typer.Option(help="Other weights than those that ship.")] = None,
) -> None:
    """Is the lexicon's signing recognised: every sign that the recogniser knows, signed alone. JSON."""
    from stable_signer.metrics.recognition import Recogniser, accuracy, lone_signs

    judge = Recogniser.load(recogniser)
    glosses = judge.lexicon_glosses()
    scores = judge.predict(lone_signs(list(glosses)))
    print(json.dumps(accuracy(scores, judge.glosses, list(glosses.values())), indent=2))  # noqa: T201


def evaluate_end_to_end(
    sentences: Annotated[
        list[Path], typer.Option(help="TSV with the columns text and gloss; may be given more than once.")
    ],
    work: Annotated[Path, typer.Option(help="Folder of what is done: an interrupted run goes on.")],
    rivals: Annotated[
        str, typer.Option(help="Systems, commas between, the first against the others.")
    ] = "ours,ours-rules,ours-prior,spoken-to-signed",
    environment: Annotated[
        Path | None, typer.Option(help="Virtual environment with spoken-to-signed==0.4.0.")
    ] = None,
    recogniser: Annotated[
        Path | None, typer.Option(help="Other judge's weights than those that ship.")
    ] = None,
    redetect: Annotated[
        Path | None,
        typer.Option(help="Python of an environment with mediapipe==0.10.21: read the videos too."),
    ] = None,
    checks: Annotated[bool, typer.Option(help="Rows that are broken on purpose, to see it told.")] = True,
    videos: Annotated[
        int | None, typer.Option(help="Read the videos of so many sentences only, drawn by the seed.", min=1)
    ] = None,
    diffusion: Annotated[
        int, typer.Option(help="Of so many of those, also the video with the look diffusion.", min=0)
    ] = 0,
    seed: Annotated[int, typer.Option(help="Decides which sentences --videos draws.", min=0)] = 0,
    plot: Annotated[Path | None, typer.Option(help="Write the report as a picture to this PNG.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, nothing else.")] = False,
) -> None:
    """Sentences through ours and a rival, read back by a recogniser that has seen only real people."""
    from stable_signer.end_to_end import run
    from stable_signer.end_to_end.plot import plot_report
    from stable_signer.metrics.recognition import Recogniser

    if plot is not None:
        _destination(plot, ".png")
    wanted = [s for path in sentences for s in run.read_sentences(path)]
    work.mkdir(parents=True, exist_ok=True)
    systems = [s.strip() for s in rivals.split(",") if s.strip()]
    judge = Recogniser.load(recogniser)
    report = run.evaluate(
        wanted,
        systems,
        work,
        environment=environment,
        judge=judge,
        checks=checks,
        redetect=redetect,
        videos=videos,
        diffusion=diffusion,
        seed=seed,
    )
    if plot is not None:
        plot_report(report, plot)
    if as_json:
        print(json.dumps(report, indent=2))  # noqa: T201 - for a program to read
    else:
        _show_end_to_end(report)


def _show_end_to_end(report: Mapping[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    keys = ("bleu1", "bleu4", "rouge_l", "wer", "length_ratio", "sign_top1", "sign_top5", "signs")
    more: tuple[str, ...] = ("time_ratio", "distance_ratio", "left_led", "face_activity")
    if "videos" in report:
        more += ("face_found", "hands_found", "pck_palm")
    made = f", the videos of {report['videos']}" if "videos" in report else ""
    table = Table("system", *keys, *more, title=f"{report['sentences']} sentences{made}, read back")
    for name, row in report["rows"].items():
        table.add_row(name, *(f"{row[k]:.2f}" if k in row else "–" for k in (*keys, *more)))
    console = Console(width=220)
    console.print(table)
    kinds, scores = ("text", "words", "told", "told_words"), ("bleu1", "bleu4", "rouge_l", "wer")
    text = Table(
        "system",
        *(f"{kind.replace('_', ' ')} {k}" for kind in kinds for k in scores),
        title="put back into English, and (words) the same glosses taken as words",
    )
    for name, row in (*report["text_bounds"].items(), *report["rows"].items()):
        values = (row.get(f"{kind}_{k}") for kind in kinds for k in scores)
        text.add_row(name, *("–" if v is None else f"{v:.2f}" for v in values))
    console.print(text)
    for key, made in (("gain", ""), ("gain_from_video", ", from the video")):
        for kind, told in report.get(key, {}).items():
            console.print(
                f"against the rival{made}, {kind}: "
                + ", ".join(
                    f"BLEU-{n} {told[f'bleu{n}_gain']:+.1f}% "
                    f"({told[f'bleu{n}_low']:+.1f} to {told[f'bleu{n}_high']:+.1f})"
                    for n in (1, 4)
                    if f"bleu{n}_gain" in told
                )
                + ", 95% of a paired bootstrap"
            )


@study_app.callback()
def _study() -> None:
    """Keeps `make` a sub-command although it is the only one so far."""


@study_app.command("make")
def study_make(
    items: Annotated[Path, typer.Option(help="CSV: sentence, question, right, wrong1, wrong2, wrong3.")],
    system: Annotated[
        list[str],
        typer.Option(help="NAME=folder:DIR (videos 1.mp4 …) or NAME=planner=rules,signer=kenji; give two."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The page, .html.")],
    contact: Annotated[str, typer.Option(help="Whom participants can ask, and where the file goes.")],
    title: Annotated[str, typer.Option(help="The page's title.")] = "A study of computer-made signing",
    size: Annotated[int, typer.Option(help="Width and height of the videos that are made.")] = 384,
    seed: Annotated[int, typer.Option(help="Decides the orders, with the participant's code.")] = 0,
    signed: Annotated[bool, typer.Option(help="Sign the instructions and questions too.")] = True,
) -> None:
    """Build a study: one page with two systems' videos, questions written and signed, answers as CSV."""
    from stable_signer.media.files import Outputs
    from stable_signer.study import make

    wanted = make.read_items(items)
    systems = _systems(system)
    if output.suffix.lower() != ".html":
        raise StableSignerError(f"the page {output} must end in .html")
    with Outputs() as outputs:  # can it be written: asked before the videos are made
        outputs.claim(output, (".html",))
        outputs.discard()
    with tempfile.TemporaryDirectory() as work:
        videos = {
            name: make.folder_videos(Path(spec["folder"]), len(wanted))
            if "folder" in spec
            else _sign_all([i.sentence for i in wanted], Path(work) / f"{k}", size, spec)
            for k, (name, spec) in enumerate(systems.items())
        }
        asked = make.prompts_to_sign(wanted) if signed else {}
        shown = _sign_all(list(asked.values()), Path(work) / "asked", 256, {})
        make.write_study(
            output,
            wanted,
            videos,
            dict(zip(asked, shown, strict=True)),
            title=title,
            contact=contact,
            seed=seed,
        )
    typer.echo(f"{output}: {len(wanted)} sentences, {output.stat().st_size / 1e6:.1f} MB", err=True)


SIGN_SETTINGS: dict[str, type] = {
    "planner": str, "signer": str, "style": str, "look": str, "speed": float, "seed": int,
}  # fmt: skip


def _systems(given: Sequence[str]) -> dict[str, dict[str, Any]]:
    """NAME=… of two systems as settings. Raises StableSignerError for what cannot be read."""
    found: dict[str, dict[str, Any]] = {}
    for text in given:
        name, is_named, rest = text.partition("=")
        if not name or not is_named or name in found:
            raise StableSignerError(
                f"the system {text!r} is no NAME=folder:DIR or NAME=setting=value with its own name"
            )
        if rest.startswith("folder:"):
            found[name] = {"folder": rest.removeprefix("folder:")}
            continue
        found[name] = {}
        for setting in filter(None, rest.split(",")):
            key, _, value = setting.partition("=")
            if key not in SIGN_SETTINGS:
                raise StableSignerError(
                    f"the setting {key!r} of {name} is unknown: use {', '.join(SIGN_SETTINGS)}"
                )
            try:
                found[name][key] = SIGN_SETTINGS[key](value)
            except ValueError as error:
                raise StableSignerError(
                    f"the setting {key} of {name} must be a number, not {value!r}"
                ) from error
    if len(found) != 2:
        raise StableSignerError(f"a study compares two systems, not {len(found)}: give --system twice")
    return found


def _sign_all(texts: Sequence[str], folder: Path, size: int, settings: Mapping[str, Any]) -> list[Path]:
    """Videos of texts, 1.mp4 …, by our own system with these settings."""
    from stable_signer.pipeline import DEFAULT_PLANNER, StableSigner

    if not texts:
        return []
    engine = StableSigner.from_pretrained(settings.get("planner", DEFAULT_PLANNER))
    others = {k: v for k, v in settings.items() if k != "planner"}
    folder.mkdir()
    paths = []
    for k, text in enumerate(texts, 1):
        paths.append(folder / f"{k}.mp4")
        engine.sign(text, size=size, **others).save(paths[-1])
    return paths
