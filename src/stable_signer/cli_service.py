"""The commands that serve, and that work on many texts: `register` adds them to the command line."""

from __future__ import annotations

import json
import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stable_signer.errors import StableSignerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stable_signer.body.motion import Motion
    from stable_signer.lexicons import OwnLexicon, OwnSign
    from stable_signer.pipeline import StableSigner
    from stable_signer.slul.glosses import Glossary

TOKENS_VARIABLE = "STABLE_SIGNER_TOKENS"


def register(app: typer.Typer) -> None:
    """Add `serve` and its kin to `app`."""
    app.command(name="serve")(serve_command)
    app.command(name="captions")(captions_command)
    app.command(name="batch")(batch_command)
    app.command(name="attest")(attest_command)
    app.command(name="gltf")(gltf_command)
    app.add_typer(lexicon_app)


def serve_command(
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 is every network.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8765,
    max_characters: Annotated[int, typer.Option(help="Longest text.")] = 2000,
    max_seconds: Annotated[float, typer.Option(help="Longest signing, in seconds.")] = 180.0,
    max_size: Annotated[int, typer.Option(help="Largest picture, pixels a side.")] = 1024,
    concurrent: Annotated[int, typer.Option(help="Videos made at a time, in turns.")] = 2,
    queue: Annotated[
        int | None,
        typer.Option(
            help="Videos that may wait, however long; more are refused with 429.",
            show_default="those that are seen soon",
        ),
    ] = None,
    job_seconds: Annotated[float, typer.Option(help="Longest a request may take.")] = 600.0,
    drain_seconds: Annotated[float, typer.Option(help="How long a stop waits for what is under way.")] = 60.0,
    cache_mb: Annotated[int, typer.Option(help="Memory for finished answers; 0 keeps none.")] = 256,
    token_file: Annotated[
        str | None,
        typer.Option(
            help=f"File of bearer tokens, one a line; or set {TOKENS_VARIABLE}, separated by commas."
        ),
    ] = None,
    cors_origin: Annotated[
        list[str] | None, typer.Option(help="Web origin that may call, as https://example.org; repeatable.")
    ] = None,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(help="Host name to answer to; repeatable. Without: see docs/service.md."),
    ] = None,
    lexicon: Annotated[str | None, typer.Option(help="A lexicon folder of your own.")] = None,
) -> None:
    """Serve the web page and the HTTP interface, on this machine only unless told otherwise."""
    try:
        from stable_signer.service.app import serve
        from stable_signer.service.settings import Settings, is_loopback, read_tokens
    except ModuleNotFoundError as error:
        raise StableSignerError(
            f"the service needs {error.name}: install it with pip install 'stable-signer[serve]'"
        ) from error
    tokens = read_tokens(token_file) if token_file else ()
    tokens += tuple(t.strip() for t in os.environ.get(TOKENS_VARIABLE, "").split(",") if t.strip())
    settings = Settings(
        host=host,
        port=port,
        allowed_hosts=tuple(allowed_host or ()),
        max_characters=max_characters,
        max_seconds=max_seconds,
        max_size=max_size,
        concurrent=concurrent,
        queue=queue,
        job_seconds=job_seconds,
        drain_seconds=drain_seconds,
        cache_bytes=cache_mb * 1_000_000,
        tokens=tokens,
        cors_origins=tuple(cors_origin or ()),
    )
    if not is_loopback(host) and not tokens:
        typer.echo(
            "note: everybody who can reach this address can use it; --token-file asks for a token", err=True
        )
    shown = f"[{host}]" if ":" in host else host
    typer.echo(f"Stable Signer listens on http://{shown}:{port} (Ctrl-C stops)", err=True)
    load, glossary = _knowing(lexicon)
    serve(load, settings, glossary)


def _knowing(lexicon: str | None) -> tuple[Callable[[], StableSigner], Callable[[], Glossary]]:
    """How to load a StableSigner, and the glosses it knows, with a lexicon folder or without."""
    from stable_signer.pipeline import StableSigner
    from stable_signer.slul.glosses import Glossary

    if lexicon is None:
        return StableSigner.from_pretrained, Glossary.load
    from stable_signer.lexicons import OwnLexicon, glossary_with, signer_with

    own = OwnLexicon.load(lexicon)  # told at once when it is broken
    return lambda: signer_with(own.folder), lambda: glossary_with(own)


def captions_command(
    captions: Annotated[str, typer.Argument(metavar="FILM.srt|.vtt|.ass", help="The captions to sign.")],
    output: Annotated[str, typer.Option("--output", "-o", help="The track, .mp4.")],
    over: Annotated[str | None, typer.Option(help="Lay the signer over this film.")] = None,
    corner: Annotated[
        str, typer.Option(help="Where: bottom-right, bottom-left, top-right, top-left.")
    ] = "bottom-right",
    scale: Annotated[float, typer.Option(help="Height of the signer as a share of the film's.")] = 0.4,
    speed: Annotated[float, typer.Option(help="Pace where there is time.")] = 1.0,
    max_speed: Annotated[float, typer.Option(help="Fastest pace, to fit a caption's time.")] = 1.5,
    language: Annotated[str, typer.Option(help="Sign language.")] = "ase",
    signer: Annotated[str | None, typer.Option(help="Who signs.", show_default="the first")] = None,
    style: Annotated[str | None, typer.Option(help="Background and light.", show_default="the first")] = None,
    look: Annotated[str, typer.Option(help="How the signer is drawn: mesh or skeleton.")] = "mesh",
    size: Annotated[int, typer.Option(help="Width and height in pixels.")] = 512,
    fps: Annotated[float, typer.Option(help="Frames a second.")] = 25.0,
    seed: Annotated[int, typer.Option(help="The same seed gives the same track.")] = 0,
    left_handed: Annotated[
        bool | None,
        typer.Option(
            "--left-handed/--right-handed", help="Which hand leads.", show_default="as wished, else the right"
        ),
    ] = None,
    no_label: Annotated[
        bool, typer.Option("--no-label", help="Leave out the words 'synthetic signing'.")
    ] = False,
    report: Annotated[str | None, typer.Option(help="Also write what did not fit, .json.")] = None,
    lexicon: Annotated[str | None, typer.Option(help="A lexicon folder of your own.")] = None,
) -> None:
    """Sign a caption file: a video whose signing keeps the captions' times, and its glosses beside it."""
    from stable_signer import pipeline
    from stable_signer.captions_track import Look, make_track, read_cues
    from stable_signer.media.files import Outputs
    from stable_signer.media.video import check_fps

    look_of = pipeline.checked_look(pipeline.check_signer(signer), style, look, size, not no_label)
    drawn = Look(
        **{k: look_of[k] for k in ("signer", "style", "look", "size", "label")},
        fps=check_fps(fps),
        seed=pipeline.check_seed(seed),
        left_handed=left_handed,
    )
    load, _ = _knowing(lexicon)
    tongue = pipeline.check_language(language)
    cues = read_cues(captions)
    if over is not None and not Path(over).is_file():
        raise StableSignerError(f"the film {over} does not exist: check its name")
    with Outputs() as outputs:
        told = outputs.claim(report, (".json",)) if report else None
        engine = load()
        total = cues[-1].end

        def progress(seconds: float) -> None:
            if sys.stderr.isatty():
                typer.echo(f"\r{seconds:.0f} of {total:.0f} s", err=True, nl=False)

        found = make_track(
            engine,
            cues,
            output,
            drawn,
            language=tongue,
            speed=speed,
            cap=max_speed,
            over=over,
            corner=corner,
            scale=scale,
            progress=progress,
        )
        if told:
            told.write_text(json.dumps(found.to_dict(), indent=2, ensure_ascii=False), encoding="utf-8")
    for line in found.lines():
        typer.echo(line, err=True)


def batch_command(
    sentences: Annotated[
        str, typer.Argument(metavar="SENTENCES.jsonl", help="One JSON object a line, with a text.")
    ],
    output: Annotated[str, typer.Option("--output", "-o", help="The folder of the videos.")],
    engine: Annotated[str, typer.Option(help="local or ray.")] = "local",
    workers: Annotated[
        int | None,
        typer.Option(
            help="Processes, or Ray actors; each takes a core and holds the model.",
            show_default="one a core, at most 4",
        ),
    ] = None,
    shard_size: Annotated[int, typer.Option(help="Sentences that a worker gets at a time.")] = 8,
    attempts: Annotated[int, typer.Option(help="Tries when the fault is not the text's.")] = 3,
    verify: Annotated[bool, typer.Option("--verify", help="Check the sums of videos made before.")] = False,
    also: Annotated[
        list[str] | None,
        typer.Option(help="Also write plan, captions or pose beside each; repeatable."),
    ] = None,
    no_sidecar: Annotated[
        bool, typer.Option("--no-sidecar", help="Leave out each video's .provenance.json.")
    ] = False,
    ending: Annotated[str, typer.Option("--format", help="mp4, webm or gif.")] = "mp4",
    language: Annotated[str, typer.Option(help="Sign language, where a line has none.")] = "ase",
    signer: Annotated[str | None, typer.Option(help="Who signs.", show_default="the first")] = None,
    style: Annotated[str | None, typer.Option(help="Background and light.", show_default="the first")] = None,
    look: Annotated[str, typer.Option(help="mesh or skeleton.")] = "mesh",
    size: Annotated[int, typer.Option(help="Width and height in pixels.")] = 512,
    fps: Annotated[float, typer.Option(help="Frames a second.")] = 25.0,
    speed: Annotated[float, typer.Option(help="Pace of signing.")] = 1.0,
    seed: Annotated[int, typer.Option(help="The same seed gives the same video.")] = 0,
    no_label: Annotated[
        bool, typer.Option("--no-label", help="Leave out the words 'synthetic signing'.")
    ] = False,
) -> None:
    """Sign many sentences, a video each; the same command goes on where it was stopped."""
    from stable_signer.batch import Item, read_items, run_batch
    from stable_signer.batch.items import checked

    defaults = checked(
        Item(
            id="",
            text="",
            language=language,
            signer=signer,
            style=style,
            look=look,
            size=size,
            fps=fps,
            speed=speed,
            seed=seed,
            label=not no_label,
            format=ending,
            also=tuple(dict.fromkeys((*(also or ()), *(() if no_sidecar else ("provenance",))))),
        )
    )
    items = read_items(sentences, defaults)

    def progress(done: int) -> None:
        if sys.stderr.isatty():
            typer.echo(f"\r{done} of {len(items)}", err=True, nl=False)

    done = run_batch(
        items,
        output,
        engine=engine,
        workers=workers if workers is not None else min(os.cpu_count() or 1, 4, max(len(items), 1)),
        shard_size=shard_size,
        attempts=attempts,
        verify=verify,
        progress=progress,
    )
    typer.echo(f"{done.made} made, {done.kept} kept from before, {done.failed} failed", err=True)
    if done.failed:
        raise StableSignerError(
            f"{done.failed} sentences could not be signed: {output}/failures.jsonl lists them with reasons"
        )


def attest_command(
    video: Annotated[str, typer.Argument(metavar="VIDEO.mp4", help="The video to sign or to check.")],
    output: Annotated[str | None, typer.Option("--output", "-o", help="The signed video.")] = None,
    certificate: Annotated[str | None, typer.Option(help="Your certificate and its issuers, PEM.")] = None,
    key: Annotated[str | None, typer.Option(help="Its private key, PEM (PKCS 8).")] = None,
    algorithm: Annotated[
        str, typer.Option(help="es256, es384, es512, ps256, ps384, ps512 or ed25519.")
    ] = "es256",
    check: Annotated[bool, typer.Option("--check", help="Print what the video's credentials say.")] = False,
) -> None:
    """Sign a video with your own certificate (Content Credentials, C2PA), or check one."""
    from stable_signer.media.credentials import ENDINGS, attest, credentials
    from stable_signer.media.files import Outputs

    if check:
        told = credentials(video)
        typer.echo(json.dumps(told, indent=2, ensure_ascii=False))
        if told["state"] == "Invalid":
            raise StableSignerError(f"the credentials of {video} do not hold: the video was changed")
        return
    if output is None or certificate is None or key is None:
        raise StableSignerError(
            "an output, a certificate and a key are needed: give -o, --certificate and --key"
        )
    with Outputs() as outputs:
        attest(video, outputs.claim(output, ENDINGS), certificate, key, algorithm)


# --- a lexicon of one's own ---

lexicon_app = typer.Typer(
    name="lexicon", help="Signs of your own: a folder, laid over those that ship.", no_args_is_help=True
)
FolderOption = Annotated[str, typer.Option("--lexicon", help="Your lexicon's folder; made when it is new.")]
LanguageOfOption = Annotated[str, typer.Option(help="Its sign language, ISO 639-3, for a new folder.")]
NameOption = Annotated[str, typer.Option("--name", help="Name of that language, for a new folder.")]
LicenceOption = Annotated[str, typer.Option(help="Licence of the takes, for whom you share them with.")]


@lexicon_app.command(name="add")
def lexicon_add(
    gloss: Annotated[str, typer.Option(help="Its name, such as THANK-YOU.")],
    folder: FolderOption,
    take: Annotated[
        str | None,
        typer.Argument(
            metavar="[CLIP.mp4|FILE.pose]", help="One sign: filmed, or as MediaPipe Holistic saw it."
        ),
    ] = None,
    hamnosys: Annotated[
        str | None,
        typer.Option(help="Instead of a take: the sign in HamNoSys 4, characters or names."),
    ] = None,
    words: Annotated[str, typer.Option(help="Words that mean it, separated by commas.")] = "",
    language: LanguageOfOption = "ase",
    name: NameOption = "",
    licence: LicenceOption = "",
    preview: Annotated[str | None, typer.Option(help="Write a video of it first, .mp4.")] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Write over a sign of that name without asking.")
    ] = False,
) -> None:
    """Fit the body to a take of one sign, or build it from HamNoSys; show it, and keep it."""
    from stable_signer import lexicons, pipeline

    if (take is None) == (hamnosys is None):
        raise StableSignerError("give either a take (a video or a .pose file) or --hamnosys with a notation")

    meanings = tuple(dict.fromkeys(w.strip().lower() for w in words.split(",") if w.strip()))
    is_new = not (Path(folder) / "lexicon.json").exists()
    own = None if is_new else _own_lexicon(folder, language, name, licence)  # of another language: told first
    meanings = meanings or (gloss.lower().replace("-", " "),)
    if take is not None:
        sign, motion = lexicons.sign_from_take(take, gloss, meanings, licence=licence)
    else:
        sign, motion = lexicons.sign_from_notation(hamnosys or "", gloss, meanings, licence=licence)
    if preview:
        from stable_signer.media.files import Outputs

        engine = pipeline.StableSigner.from_pretrained()
        who = pipeline.check_signer(None)
        look_of = {"signer": who, "style": pipeline.check_style(None, who), "look": "mesh"}
        with Outputs() as outputs:
            part = outputs.claim(preview, (".mp4",))
            made_by = pipeline.provenance_of(None, look_of, None)
            pipeline.write_frames(part, engine.render(motion, size=256), motion.fps, made_by)
        typer.echo(f"wrote {preview}: look at it", err=True)
    if take is None:
        quality = f"approximate: {sign.note}"
    else:
        quality = (
            f"{'only roughly' if sign.approximate else 'well'} tracked (error {sign.error:.2f} palms, hands "
            f"found in {sign.tracked:.0%} of the frames)"
        )
    hands = "two hands" if sign.two_handed else "one hand"
    typer.echo(f"{sign.gloss}: {motion.duration:.2f} s, {hands}, {quality}", err=True)
    own = own or _own_lexicon(folder, language, name, licence)  # a take that fails leaves no folder
    if sign.gloss in own.signs and not yes:
        if not sys.stdin.isatty():
            raise StableSignerError(f"the lexicon has {sign.gloss} already: --yes writes over it")
        typer.confirm(f"Write over the {sign.gloss} that is there?", abort=True)
    own.add(sign, motion, overwrite=True)


@lexicon_app.command(name="import")
def lexicon_import(
    index: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="An index.csv of spoken-to-signed's, a .csv with gloss, words and hamnosys, or a .sigml.",
        ),
    ],
    folder: FolderOption,
    language: LanguageOfOption = "ase",
    name: NameOption = "",
    licence: LicenceOption = "",
    yes: Annotated[bool, typer.Option("--yes", help="Write over signs that are there.")] = False,
) -> None:
    """Fit every sign of an index.csv, or build those of a list of HamNoSys; what can't be used is listed."""
    makes = list(_makers(index, language, licence))
    if not makes:
        raise StableSignerError(
            f"{index} has no sign in the language {language!r}: see its signed_language column"
            if index.endswith(".csv")
            else f"{index} has no sign: give hns_sign elements"
        )
    own = _own_lexicon(folder, language, name, licence)
    added = 0
    for gloss, make in makes:
        try:
            sign, motion = make()
            own.add(sign, motion, overwrite=yes)
            added += 1
            if sign.note:
                typer.echo(f"{gloss}: {sign.note}", err=True)
        except StableSignerError as error:
            typer.echo(f"left out {gloss}: {error}", err=True)
    typer.echo(f"{added} of {len(makes)} signs added", err=True)
    if not added:
        raise StableSignerError("no sign could be used: see the reasons above")


def _makers(
    index: str, language: str, licence: str
) -> Iterator[tuple[str, Callable[[], tuple[OwnSign, Motion]]]]:
    """The gloss of each sign of a list, and how to make it."""
    from stable_signer import lexicons

    if lexicons.lists_notations(index):
        for text, gloss, words in lexicons.read_notations(index):
            yield gloss, partial(lexicons.sign_from_notation, text, gloss, words, licence=licence)
        return
    for path, gloss, words in lexicons.read_index(index, language):
        yield gloss, partial(lexicons.sign_from_take, path, gloss, words, licence=licence)


@lexicon_app.command(name="export")
def lexicon_export(
    folder: FolderOption,
    output: Annotated[
        str, typer.Option("--output", "-o", help="A new folder for .pose files and index.csv.")
    ],
    spoken: Annotated[str, typer.Option(help="Language of the words, ISO 639-1.")] = "en",
) -> None:
    """Write your signs as .pose files with an index.csv, for other tools."""
    from stable_signer import lexicons

    count = lexicons.export_index(lexicons.OwnLexicon.load(folder), output, spoken)
    typer.echo(f"{count} signs written to {output}", err=True)


@lexicon_app.command(name="sign")
def lexicon_sign(
    text: Annotated[str, typer.Argument(help="What to sign.")],
    folder: FolderOption,
    output: Annotated[str, typer.Option("--output", "-o", help="The video: .mp4, .webm or .gif.")],
    size: Annotated[int, typer.Option(help="Width and height in pixels.")] = 512,
    speed: Annotated[float, typer.Option(help="Pace of signing.")] = 1.0,
    seed: Annotated[int, typer.Option(help="The same seed gives the same video.")] = 0,
    no_sidecar: Annotated[
        bool, typer.Option("--no-sidecar", help="Leave out the video's .provenance.json.")
    ] = False,
) -> None:
    """Sign a text with your signs."""
    from stable_signer import lexicons

    own = lexicons.OwnLexicon.load(folder)
    engine = lexicons.signer_with(folder)
    clip = engine.sign(text, language=own.language, size=size, speed=speed, seed=seed)
    clip.save(output, sidecar=not no_sidecar)
    typer.echo(" ".join(clip.plan.glosses), err=True)


def _own_lexicon(folder: str, language: str, name: str, licence: str) -> OwnLexicon:
    from stable_signer.lexicons import OwnLexicon

    if (Path(folder) / "lexicon.json").exists():
        own = OwnLexicon.load(folder)
        if own.language != language:
            raise StableSignerError(
                f"the lexicon {folder} is of {own.language}, not of {language}: name another folder"
            )
        return own
    return OwnLexicon.create(folder, language, name, licence)


def gltf_command(
    source: Annotated[str, typer.Argument(metavar="IN.pose|PLAN.json", help="A motion or a plan.")],
    output: Annotated[str, typer.Option("--output", "-o", help="The model, .glb.")],
    signer: Annotated[str | None, typer.Option(help="Who signs.", show_default="the first")] = None,
    seed: Annotated[int, typer.Option(help="For a plan: the same seed gives the same motion.")] = 0,
    left_handed: Annotated[
        bool | None,
        typer.Option(
            "--left-handed/--right-handed",
            help="For a plan: which hand leads.",
            show_default="as the plan wishes, else the right",
        ),
    ] = None,
) -> None:
    """Write the moving body as glTF, for three.js, Blender and game engines."""
    from stable_signer import pipeline
    from stable_signer.media.files import Outputs
    from stable_signer.slul.plan import Plan

    who = pipeline.check_signer(signer)
    engine = pipeline.StableSigner.from_pretrained()
    if Path(source).suffix.lower() == ".pose":
        motion = engine.load_pose(source)
    else:
        motion = engine.motion(Plan.load(source), pipeline.check_seed(seed), left_handed)
    from stable_signer.media.gltf import write_glb

    with Outputs() as outputs:
        write_glb(outputs.claim(output, (".glb",)), motion, who)
