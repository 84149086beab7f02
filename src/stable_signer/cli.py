"""The command `stable-signer`: reads arguments, calls the pipeline, writes files. No thinking happens here.

Exit codes: 0 done; 2 bad input, with one sentence on standard error; 130 stopped by Ctrl-C; 1 our fault.
"""

from __future__ import annotations

import io
import json
import os
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from stable_signer import cli_metrics, cli_moe, cli_pose2vid, cli_service, cli_slul, pipeline
from stable_signer.body.motion import FPS
from stable_signer.errors import StableSignerError
from stable_signer.media.files import Outputs, read_bytes
from stable_signer.media.provenance import Provenance, tool_version
from stable_signer.slul.plan import LANGUAGES, Plan

if TYPE_CHECKING:
    import numpy as np

VIDEO_ENDINGS = (".mp4", ".webm", ".gif")
PIPE = "-"
ASK_FOR_TRACEBACK = "STABLE_SIGNER_TRACEBACK"

app = typer.Typer(
    name="stable-signer",
    help="Turn a sentence into a sign-language video, offline. The signing is synthetic and says so; "
    "it does not replace an interpreter.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

TextArgument = Annotated[
    str | None, typer.Argument(metavar="TEXT", help="What to sign, in quotes; - reads standard input.")
]
FileOption = Annotated[
    str | None, typer.Option("--file", help="Read the text from this file (UTF-8); - as above.")
]
VideoOption = Annotated[
    str, typer.Option("--output", "-o", help="The video: .mp4, .webm or .gif; - streams mp4 to a pipe.")
]
LanguageOption = Annotated[str, typer.Option(help="Sign language, see `stable-signer languages`.")]
SignerOption = Annotated[
    str | None,
    typer.Option(
        help="Who signs, see `stable-signer signers`, someone in between: maya:0.6,ben:0.4, or a filmed "
        "signer: the folder that `train pose2vid --footage` wrote.",
        show_default="the first",
    ),
]
StyleOption = Annotated[
    str | None,
    typer.Option(help="Background and light, see `stable-signer styles`.", show_default="the first"),
]
LookOption = Annotated[
    str | None,
    typer.Option(
        help=f"How the signer is drawn: {', '.join(pipeline.LOOKS)}.",
        show_default=f"{pipeline.DEFAULT_LOOK}; diffusion for a filmed signer",
    ),
]
QualityOption = Annotated[
    str, typer.Option(help="fast, or high: 20 steps a frame, with --look diffusion only, very slow.")
]
SizeOption = Annotated[
    int | None,
    typer.Option(
        help="Width and height in pixels, even, 64 to 2048.",
        show_default=f"{pipeline.DEFAULT_SIZE}; 256 for a filmed signer",
    ),
]
FpsOption = Annotated[float, typer.Option(help="Frames a second, 10 to 60.")]
SpeedOption = Annotated[float, typer.Option(help="Pace of signing: 0.5 is half as fast, 2 twice as fast.")]
SeedOption = Annotated[int, typer.Option(help="Small natural variation; the same seed gives the same video.")]
LeftOption = Annotated[
    bool | None,
    typer.Option(
        "--left-handed/--right-handed",
        help="Which hand leads.",
        show_default="as the text or the plan wishes, else the right",
    ),
]
NoLabelOption = Annotated[
    bool, typer.Option("--no-label", help="Leave out the visible words 'synthetic signing' (the tags stay).")
]
NoSidecarOption = Annotated[
    bool,
    typer.Option("--no-sidecar", help="Leave out VIDEO.provenance.json, which says how the video was made."),
]
PlannerOption = Annotated[
    str, typer.Option(help="Who understands the text: slul (learned) or rules (by rule only).")
]
MotionOption = Annotated[
    str, typer.Option(help="Who moves: moe (learned experts) or prior (recorded and rule-made signs alone).")
]
MannerOption = Annotated[
    str,
    typer.Option(
        help="How it is signed: neutral, lively, calm, formal, casual, large, small, or a mixture such as "
        "lively:0.6,calm:0.4; signer-7 adds the habits of signer number 7."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
ThumbnailsOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER", help="Also draw each as FOLDER/ID.png, and all on one sheet, named as this command."
    ),
]


# --- the commands ---


@app.command()
def sign(
    output: VideoOption,
    text: TextArgument = None,
    file: FileOption = None,
    language: LanguageOption = pipeline.DEFAULT_LANGUAGE,
    signer: SignerOption = None,
    style: StyleOption = None,
    look: LookOption = None,
    quality: QualityOption = pipeline.DEFAULT_QUALITY,
    size: SizeOption = None,
    fps: FpsOption = FPS,
    speed: SpeedOption = 1.0,
    seed: SeedOption = 0,
    left_handed: LeftOption = None,
    no_label: NoLabelOption = False,
    no_sidecar: NoSidecarOption = False,
    planner: PlannerOption = pipeline.DEFAULT_PLANNER,
    motion: MotionOption = pipeline.DEFAULT_MOTION,
    manner: MannerOption = pipeline.DEFAULT_MANNER,
    plan: Annotated[str | None, typer.Option("--plan", help="Also write the plan, .json.")] = None,
    pose: Annotated[str | None, typer.Option("--pose", help="Also write the pose, .pose.")] = None,
    captions: Annotated[str | None, typer.Option("--captions", help="Also write captions, .vtt.")] = None,
) -> None:
    """Sign a text: the whole way from words to a video."""
    words = _read_text(text, file)
    pipeline.check_text(words)
    pipeline.check_planner(planner)
    pipeline.check_manner(manner, pipeline.check_motion(motion))
    _check_numbers(language=language, fps=fps, speed=speed, seed=seed)
    look_of = pipeline.checked_look(signer, style, look, size, not no_label, quality)
    with Outputs() as outputs:
        video = _claim_video(outputs, output)
        plan_part = outputs.claim(plan, (".json",)) if plan else None
        pose_part = outputs.claim(pose, (".pose",)) if pose else None
        captions_part = outputs.claim(captions, (".vtt",)) if captions else None
        sidecar = _claim_sidecar(outputs, output, no_sidecar)

        engine = pipeline.StableSigner.from_pretrained(planner, motion, manner)
        understood = engine.plan(words, language, speed)
        _report(understood)
        movement = engine.movement(understood, seed, left_handed, fps)
        understood = movement.plan
        if plan_part:
            plan_part.write_text(_json(understood.to_dict()), encoding="utf-8")
        if pose_part:
            whole = pipeline.joined(movement.pieces())
            engine.write_pose(pose_part, whole, signer=look_of["signer"], size=look_of["size"])
        if captions_part:
            from stable_signer.media.captions import write_captions

            write_captions(understood, captions_part)
        made_by = pipeline.provenance_of(understood, look_of, seed)
        frames = engine.render(movement.pieces(), **look_of)
        _write_video(video, frames, movement.frame_count, movement.fps, made_by, sidecar)
    _say_done(output)


@app.command(name="plan")
def plan_command(
    text: TextArgument = None,
    file: FileOption = None,
    language: LanguageOption = pipeline.DEFAULT_LANGUAGE,
    speed: SpeedOption = 1.0,
    planner: PlannerOption = pipeline.DEFAULT_PLANNER,
    as_json: JsonOption = False,
) -> None:
    """Show how a text would be signed: the signs, their times, the face's grammar, and what is missing."""
    words = _read_text(text, file)
    pipeline.check_text(words)
    pipeline.check_planner(planner)
    _check_numbers(language=language, speed=speed)
    understood = pipeline.StableSigner.from_pretrained(planner).plan(words, language, speed)
    if as_json:
        _print_json(understood.to_dict())
        _report(understood)
        return
    _show_plan(understood)
    _report(understood)


@app.command(name="motion")
def motion_command(
    plan: Annotated[str, typer.Argument(metavar="PLAN.json", help="A plan, as `plan --json` prints it.")],
    output: Annotated[str, typer.Option("--output", "-o", help="The motion, .pose.")],
    signer: SignerOption = None,
    size: SizeOption = None,
    fps: FpsOption = FPS,
    seed: SeedOption = 0,
    left_handed: LeftOption = None,
    motion: MotionOption = pipeline.DEFAULT_MOTION,
    manner: MannerOption = pipeline.DEFAULT_MANNER,
) -> None:
    """Turn a plan into movement: a .pose file with points in the pixels of this signer's video."""
    _check_numbers(fps=fps, seed=seed)
    pipeline.check_manner(manner, pipeline.check_motion(motion))
    who = pipeline.checked_signer(signer)
    side = pipeline.checked_size(who, size)
    understood = Plan.load(plan)
    with Outputs() as outputs:
        part = outputs.claim(output, (".pose",))
        engine = pipeline.StableSigner.from_pretrained(motion=motion, manner=manner)
        movement = engine.movement(understood, seed, left_handed, fps)
        _report(movement.plan)
        engine.write_pose(part, pipeline.joined(movement.pieces()), signer=who, size=side)
    _say_done(output)


@app.command()
def render(
    source: Annotated[
        str, typer.Argument(metavar="IN.pose|PLAN.json", help="What to draw: a motion or a plan.")
    ],
    output: VideoOption,
    signer: SignerOption = None,
    style: StyleOption = None,
    look: LookOption = None,
    quality: QualityOption = pipeline.DEFAULT_QUALITY,
    size: SizeOption = None,
    fps: Annotated[
        float | None, typer.Option(help="Frames a second, for a plan.", show_default="25, or the .pose's own")
    ] = None,
    seed: SeedOption = 0,
    left_handed: LeftOption = None,
    no_label: NoLabelOption = False,
    no_sidecar: NoSidecarOption = False,
) -> None:
    """Draw a motion or a plan as a video."""
    _check_numbers(fps=FPS if fps is None else fps, seed=seed)
    look_of = pipeline.checked_look(signer, style, look, size, not no_label, quality)
    is_pose = Path(source).suffix.lower() == ".pose"
    if is_pose and (fps is not None or seed or left_handed is not None):
        raise StableSignerError(
            "a .pose already has its frames, its hand and its seed: leave out --fps, --seed, --left-handed "
            "and --right-handed"
        )
    with Outputs() as outputs:
        video = _claim_video(outputs, output)
        sidecar = _claim_sidecar(outputs, output, no_sidecar)
        if is_pose:
            from stable_signer.body.skeleton import Body
            from stable_signer.pose2vid.framing import hands_outside

            read_bytes(source, "the pose")  # a missing file is told before the body is loaded
            engine = pipeline.StableSigner.from_pretrained()
            motion = engine.load_pose(source)
            for cut in hands_outside(motion, Body.load()):
                print(f"note: {cut}", file=sys.stderr)  # noqa: T201
            made_by = pipeline.provenance_of(None, look_of, None)
            frames = engine.render(motion, **look_of)
            _write_video(video, frames, len(motion), motion.fps, made_by, sidecar)
        else:
            understood = Plan.load(source)
            engine = pipeline.StableSigner.from_pretrained()
            movement = engine.movement(understood, seed, left_handed, FPS if fps is None else fps)
            _report(movement.plan)
            made_by = pipeline.provenance_of(understood, look_of, seed)
            frames = engine.render(movement.pieces(), **look_of)
            _write_video(video, frames, movement.frame_count, movement.fps, made_by, sidecar)
    _say_done(output)


@app.command()
def signers(as_json: JsonOption = False, thumbnails: ThumbnailsOption = None) -> None:
    """List who can sign."""
    from stable_signer.pose2vid.signers import SIGNERS

    if thumbnails is not None:
        _write_thumbnails(thumbnails, "signers")
    _list("Signers", SIGNERS, as_json)


@app.command()
def styles(as_json: JsonOption = False, thumbnails: ThumbnailsOption = None) -> None:
    """List the backgrounds and lights."""
    from stable_signer.pose2vid.signers import STYLES

    if thumbnails is not None:
        _write_thumbnails(thumbnails, "styles")
    _list("Styles", STYLES, as_json)


@app.command()
def languages(as_json: JsonOption = False) -> None:
    """List the sign languages."""
    notes = {
        "ase": "plans, motion and video",
        "gsg": "words are spelled, with the American alphabet; no DGS signs yet",
    }
    _list(
        "Languages", {k: {"name": v, "what works": notes.get(k, "")} for k, v in LANGUAGES.items()}, as_json
    )


@app.command()
def doctor(as_json: JsonOption = False) -> None:
    """Check the installation: versions, weights, and a self-test of two seconds."""
    from stable_signer.doctor import examine

    report = examine()
    if as_json:
        _print_json(report)
    else:
        console = _console()
        for title in ("versions", "weights", "self-test"):
            table = Table(title=title, title_justify="left", show_header=False)
            for key, value in report[title].items():
                table.add_row(key, str(value))
            console.print(table)
        console.print("all well" if report["ok"] else f"something is wrong: {report['problem']}")
    if not report["ok"]:
        raise typer.Exit(1)


cli_service.register(app)
cli_slul.register(app)
cli_moe.register()
cli_pose2vid.register()
cli_metrics.register(app)


@app.callback(invoke_without_command=True)
def top(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and stop.", is_eager=True)
    ] = False,
) -> None:
    """Options that stand before any command."""
    if version:
        typer.echo(tool_version())
        raise typer.Exit(0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; `arguments` default to those of the process."""
    previous = _terminate_like_ctrl_c()
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # see pipeline._calm; here also for loading
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that has not all letters shows codes for them
            stream.reconfigure(errors="backslashreplace")
    try:
        result = app(args=arguments, prog_name="stable-signer", standalone_mode=False)
        return _fail("stopped", 130) if result == 130 else int(result or 0)
    except StableSignerError as error:
        return _fail(str(error), 2)
    except typer.TyperException as error:  # a missing or misspelled option
        return _fail(error.format_message(), 2)
    except (KeyboardInterrupt, typer.Abort):
        return _fail("stopped", 130)
    except BrokenPipeError:
        return _quiet_pipe()
    except MemoryError:
        return _fail("there is not enough memory: use a smaller --size, or sign the text in pieces", 2)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 1
    except Exception as error:
        if os.environ.get(ASK_FOR_TRACEBACK):
            raise
        what = " ".join(f"{type(error).__name__}: {error}".split())
        return _fail(
            f"a fault of Stable Signer, please report it ({what}); {ASK_FOR_TRACEBACK}=1 shows where", 1
        )
    finally:
        if previous is not None:
            signal.signal(signal.SIGTERM, previous)


# --- input ---


def _read_text(text: str | None, file: str | None) -> str:
    if (text is None) == (file is None):
        raise StableSignerError(
            "there must be one text: give it in quotes, or with --file, or - for standard input"
        )
    source = file if file is not None else text
    if source == PIPE:
        raw = sys.stdin.buffer.read()
    elif file is not None:
        raw = read_bytes(file, "the text file")
    else:
        return str(text)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise StableSignerError("the text is not valid UTF-8: save it as UTF-8") from error


def _check_numbers(
    *,
    language: str = pipeline.DEFAULT_LANGUAGE,
    fps: float = FPS,
    speed: float = 1.0,
    seed: int = 0,
) -> None:
    from stable_signer.media.video import check_fps

    pipeline.check_language(language)
    check_fps(fps)
    pipeline.check_speed(speed)
    pipeline.check_seed(seed)


# --- output ---


def _claim_video(outputs: Outputs, output: str) -> Path | BinaryIO:
    if output != PIPE:
        return outputs.claim(output, VIDEO_ENDINGS)
    if sys.stdout.isatty():
        raise StableSignerError("a video cannot be shown in a terminal: pipe it on, or name a file with -o")
    return sys.stdout.buffer


def _claim_sidecar(outputs: Outputs, output: str, left_out: bool) -> Path | None:
    """Where to write the video's sidecar; a pipe has no place beside it."""
    from stable_signer.media.sidecar import sidecar_path

    return None if left_out or output == PIPE else outputs.claim(sidecar_path(output))


def _write_video(
    target: Path | BinaryIO,
    frames: Iterator[np.ndarray],
    count: int,
    fps: float,
    made_by: Provenance,
    sidecar: Path | None,
) -> None:
    with _progress(frames, count) as shown:
        pipeline.write_frames(target, shown, fps, made_by)
    if sidecar is not None and isinstance(target, Path):
        from stable_signer.media.sidecar import write_sidecar

        write_sidecar(made_by, target, sidecar)


@contextmanager
def _progress(frames: Iterator[np.ndarray], total: int) -> Iterator[Iterable[np.ndarray]]:
    """The same frames with a bar on standard error, when that is a terminal."""
    if not sys.stderr.isatty():
        yield frames
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("signing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield bar.track(frames, total=total)


def _report(plan: Plan) -> None:
    """Say on standard error what is not signed as one would wish: spelled, approximated, left out."""
    spelled = [s.text or s.gloss for s in plan.signs if s.source == "alphabet"]
    rough = [s.text or s.gloss for s in plan.signs if s.approximate and s.source != "alphabet"]
    for what, words in (
        ("spelled with the fingers (a name, or no sign for it here)", spelled),
        ("only roughly right", rough),
        ("left out, because nothing stands for it", plan.dropped),
    ):
        if words:
            print(f"{what}: {', '.join(dict.fromkeys(words))}", file=sys.stderr)  # noqa: T201
    for note in dict.fromkeys(plan.notes):
        print(f"note: {note}", file=sys.stderr)  # noqa: T201


def _show_plan(plan: Plan) -> None:
    console = _console()
    table = Table(title=f"{LANGUAGES[plan.language]}, {plan.duration:.1f} s", title_justify="left")
    for name in ("start", "end", "sign", "kind", "from", "for"):
        table.add_column(name, justify="right" if name in ("start", "end") else "left")
    for s in plan.signs:
        source = f"{s.source}, approximate" if s.approximate else s.source
        table.add_row(f"{s.start:.2f}", f"{s.end:.2f}", s.gloss, s.kind, source, s.text)
    console.print(table)
    if plan.nonmanuals:
        spans = Table(title="face and head", title_justify="left")
        for name in ("start", "end", "what"):
            spans.add_column(name, justify="right" if name != "what" else "left")
        for n in plan.nonmanuals:
            spans.add_row(f"{n.start:.2f}", f"{n.end:.2f}", n.kind)
        console.print(spans)
    console.print("coverage: " + ", ".join(f"{count} {name}" for name, count in plan.coverage.items()))


def _write_thumbnails(folder: Path, kind: str) -> None:
    """ID.png for each signer or style, and KIND.png with all of them."""
    from stable_signer.pose2vid import thumbnails

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StableSignerError(
            f"the folder {folder} cannot be made ({error.strerror or error}): name another"
        ) from error
    drawn = thumbnails.signer_thumbnails() if kind == "signers" else thumbnails.style_thumbnails()
    with Outputs() as outputs:
        for name, picture in {**drawn, kind: thumbnails.contact_sheet(drawn)}.items():
            outputs.claim(folder / f"{name}.png").write_bytes(thumbnails.png(picture))
    _say_done(str(folder))


def _list(title: str, cards: dict[str, Any], as_json: bool) -> None:
    """A table (or JSON) of cards: dictionaries or dataclasses, by id."""
    from dataclasses import asdict, is_dataclass

    rows = {
        key: asdict(card) if is_dataclass(card) and not isinstance(card, type) else dict(card)
        for key, card in cards.items()
    }
    if as_json:
        _print_json(rows)
        return
    wanted = ("name", "description", "what works")
    names = [n for n in wanted if any(n in row for row in rows.values())]
    table = Table(title=title, title_justify="left")
    for name in ("id", *names):
        table.add_column(name)
    for key, row in rows.items():
        table.add_row(key, *(str(row.get(n, "")) for n in names))
    _console().print(table)


def _console() -> Console:
    return Console(
        highlight=False, markup=False, emoji=False
    )  # the user's own [words] and :words: stay as they are


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n"


def _print_json(value: Any) -> None:
    """JSON is UTF-8 whatever the terminal thinks, so that `> plan.json` can be read back everywhere."""
    sys.stdout.flush()
    sys.stdout.buffer.write(_json(value).encode())
    sys.stdout.buffer.flush()


def _say_done(output: str) -> None:
    if output != PIPE and sys.stderr.isatty():
        print(f"wrote {output}", file=sys.stderr)  # noqa: T201


# --- the end of the run ---


def _fail(message: str, code: int) -> int:
    print(f"stable-signer: {' '.join(message.split())}", file=sys.stderr)  # noqa: T201
    return code


def _quiet_pipe() -> int:
    """The reader went away (`| head`): leave without a word, and without Python's own at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1


def _terminate_like_ctrl_c() -> Any:
    """Make SIGTERM unwind like Ctrl-C, so that a stopped job leaves no files; returns the old handler."""

    def stop(number: int, frame: object) -> NoReturn:
        raise KeyboardInterrupt

    try:
        return signal.signal(signal.SIGTERM, stop)
    except ValueError:  # not in the main thread: whoever runs us there handles signals
        return None
