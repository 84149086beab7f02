"""The way through: text -> plan -> motion -> frames -> file.

Only numbers and names are checked at import; what is heavy (torch, the body, the lexicon) is imported when it
is first needed, so that `stable-signer --help` does not wait for it.
"""

from __future__ import annotations

import os
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache, cached_property, lru_cache
from itertools import chain, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, TypeAlias, TypeVar, cast, runtime_checkable

import numpy as np

from stable_signer.body.motion import FPS, Motion, joined
from stable_signer.errors import StableSignerError
from stable_signer.media.files import Outputs
from stable_signer.media.provenance import Provenance, stamp, text_hash
from stable_signer.slul.plan import LANGUAGES, LONGEST_PLAN, SPEEDS, Draft, Plan
from stable_signer.slul.prompts import Prompt, read_prompt

if TYPE_CHECKING:
    from stable_signer.body.skeleton import Body
    from stable_signer.pose2vid.diffusion import DiffusionRenderer
    from stable_signer.pose2vid.filmed import FilmedRenderer, FilmedSigner
    from stable_signer.slp_moe.lexicon import Lexicon
    from stable_signer.slp_moe.manner import Manner
    from stable_signer.slp_moe.model import SlpMoe
    from stable_signer.slul.linker import Linker
    from stable_signer.slul.rules import RulePlanner

PLANNERS = {
    "slul": "learned order, tense and face; the rules where it cannot plan a sentence",
    "slul-face": "slul with mouth and gaze too, which are right one time in ten: for research",
    "rules": "order and face by rule",
}
DEFAULT_PLANNER = "slul"
MOTIONS = {
    "moe": "learned: experts complete the prior, and no two takes are the same",
    "prior": "recorded and rule-made signs in sequence, nothing added",
}
DEFAULT_MOTION, DEFAULT_MANNER = "moe", "neutral"
LOOKS = {
    "mesh": "a shaded person with skin, hair and clothes",
    "soft": "the same person in large soft light",
    "cartoon": "light in steps, strong colours, outlines",
    "line": "a drawing: outlines and washes on paper",
    "skeleton": "bones and joints as coloured lines",
    "diffusion": "Pose2Vid's networks draw the person, softly lit (256 or 512 pixels)",
}
LANGUAGE_ALIASES = {"asl": "ase", "dgs": "gsg"}
DEFAULT_LOOK, QUICK_LOOK = "diffusion", "mesh"
"""Of `sign` and `render` at the sizes that its networks draw; of other sizes, and of what serves many."""
DEFAULT_SIZE, DEFAULT_LANGUAGE = 512, "ase"
QUALITIES = ("fast", "high")  # high: of the look diffusion only
DEFAULT_QUALITY = "fast"
MIN_SPEED, MAX_SPEED = SPEEDS
MAX_CHARACTERS = 10_000  # about twenty minutes of signing
MAX_SECONDS = LONGEST_PLAN


Item = TypeVar("Item")
# An id, a mixture, or a filmed signer: the folder that was learned, or what `checked_signer` read in it.
Signer: TypeAlias = "str | os.PathLike[str] | FilmedSigner"


class Renderer(Protocol):
    """What draws a motion: `pose2vid.mesh.MeshRenderer`, `pose2vid.skeleton.SkeletonRenderer`."""

    def frames(self, motion: Motion) -> Iterator[np.ndarray]:
        """One (size, size, 3) uint8 picture for each frame of the motion."""
        ...


@runtime_checkable
class FilmRenderer(Renderer, Protocol):
    """A renderer whose frames follow from the frames before them."""

    def film(self, pieces: Iterable[Motion]) -> Iterator[np.ndarray]:
        """The pictures of pieces of one motion in order."""
        ...


class Movement(Protocol):
    """A plan's motion, made piece by piece when it is asked for: `slp_moe.compose.Composer`."""

    plan: Plan  # with the times that the body can keep
    fps: float
    frame_count: int

    def frames(self, first: int, last: int) -> Motion:
        """Frames `first` to `last` (excluded)."""
        ...

    def pieces(self) -> Iterator[Motion]:
        """All frames in order, in pieces of bounded length."""
        ...


@dataclass(frozen=True)
class Stages:
    """The stages between text and picture; tests put small ones in their place.

    draft: (text, language) -> Draft. schedule: (draft, speed) -> Plan.
    compose: (plan, seed, left_handed, fps) -> Movement. renderer: (signer, style, look, size) -> Renderer.
    body: what turns a motion into points for `.pose` files; loaded when it is first needed.
    """

    draft: Callable[[str, str], Draft]
    schedule: Callable[[Draft, float], Plan]
    compose: Callable[[Plan, int, bool, float], Movement]
    renderer: Callable[[str, str, str, int], Renderer]
    body: Callable[[], Body]


class Clip:
    """A signed piece of video: the plan, the motion, and the frames made from it when they are asked for.

    plan: what is signed; times count from the clip's start. motion: the movement, T frames at `fps` a second.
    frames: (T, H, W, 3) uint8, rendered once and then kept; iterating over the clip instead renders frame by
    frame and keeps nothing, and so does `save`.
    """

    def __init__(
        self,
        plan: Plan,
        motion: Motion,
        render: Callable[[Motion], Iterator[np.ndarray]],
        provenance: Provenance,
    ) -> None:
        self.plan, self.motion, self.provenance = plan, motion, provenance
        self._render = render

    @property
    def fps(self) -> float:
        """Frames per second."""
        return self.motion.fps

    @cached_property
    def frames(self) -> np.ndarray:
        """All frames, (T, H, W, 3) uint8; about 20 MB a second at size 512."""
        return np.stack([np.array(frame) for frame in self._render(self.motion)])

    def __len__(self) -> int:
        return len(self.motion)

    def __iter__(self) -> Iterator[np.ndarray]:
        if "frames" in self.__dict__:  # already rendered
            return iter(self.frames)
        return self._render(self.motion)

    def _repr_html_(self) -> str:
        """The video, where a notebook shows the clip."""
        from stable_signer.media.notebook import video_html

        return video_html(self, self.fps, self.provenance.tags(), self.plan.text)

    def save(self, path: str | Path, *, sidecar: bool = False) -> None:
        """Write the video; the ending picks the container: .mp4, .webm or .gif.

        sidecar: also write `PATH.provenance.json`, see `media.sidecar`, as the command `sign` does.
        The file appears whole or not at all. Raises StableSignerError when it cannot be written.
        """
        from stable_signer.media.sidecar import sidecar_path, write_sidecar
        from stable_signer.media.video import ENDINGS

        with Outputs() as outputs:
            part = outputs.claim(path, ENDINGS)
            beside = outputs.claim(sidecar_path(path)) if sidecar else None
            write_frames(part, iter(self), self.fps, self.provenance)
            if beside is not None:
                write_sidecar(self.provenance, part, beside)


class StableSigner:
    """Text to signing. Make one with `from_pretrained` and keep it: the first call loads, later ones do not.

    Every method raises StableSignerError for a name or number that it does not know, and lists the known.
    """

    def __init__(self, stages: Stages) -> None:
        self._stages = stages
        self._renderer = lru_cache(maxsize=2)(stages.renderer)
        self._filmed = lru_cache(maxsize=1)(_filmed_renderer)

    @classmethod
    def from_pretrained(
        cls,
        planner: str = DEFAULT_PLANNER,
        motion: str = DEFAULT_MOTION,
        manner: str = DEFAULT_MANNER,
    ) -> StableSigner:
        """The signer with the weights that ship in the package; nothing is fetched from anywhere.

        planner: who understands the text, "slul" (learned, with the rules as its safety net) or "rules".
        motion: who moves, "moe" (SLP-MoE) or "prior" (its rule-based prior alone). manner: how "moe" signs, a
        name of `slp_moe.manner.MANNERS` or a mixture such as "lively:0.6,calm:0.4".
        """
        check_planner(planner)
        check_motion(motion)
        return cls(shipped_stages(planner, motion, check_manner(manner, motion)))

    # --- the stages, one by one ---

    def plan(self, text: str, language: str = DEFAULT_LANGUAGE, speed: float = 1.0) -> Plan:
        """Understand `text`, a sentence or a prompt around one, and time its signs.

        language: ISO 639-3 code of the sign language ("ase", "gsg"). speed: 1 is an easy pace, 0.25 to 3; a
        prompt's own wish ("slowly") comes on top. A wish for a hand ("left-handed") stands in the plan.
        Raises StableSignerError for a blank or too long text, or one in which nothing can be signed.
        """
        check_text(text)
        language = check_language(language)
        check_speed(speed)
        prompt = read_prompt(text)
        check_text(prompt.text)
        draft = self._stages.draft(prompt.text, language)
        if not any(sign.kind != "pause" for sign in draft.signs):
            raise StableSignerError(
                "nothing in the text can be signed: write English words, names or numbers in Latin letters"
            )
        pace = min(max(speed * prompt.speed, MIN_SPEED), MAX_SPEED)
        plan = self._stages.schedule(replace(draft, notes=(*draft.notes, *_unmet(prompt))), pace)
        return replace(plan, left_handed=prompt.left_handed)

    def motion(self, plan: Plan, seed: int = 0, left_handed: bool | None = None, fps: float = FPS) -> Motion:
        """The movement of a plan. The same plan, seed and hand always give the same movement.

        left_handed: whether the left hand leads; None follows the plan's wish, else the right leads.
        """
        return joined(_calm(self.movement(plan, seed, left_handed, fps).pieces()))

    def movement(
        self, plan: Plan, seed: int = 0, left_handed: bool | None = None, fps: float = FPS
    ) -> Movement:
        """As `motion`, but made piece by piece while it is read: for texts of any length."""
        from stable_signer.media.video import check_fps

        if all(sign.kind == "pause" for sign in plan.signs):
            raise StableSignerError("the plan has no signs: add at least one")
        if plan.duration > MAX_SECONDS:
            raise StableSignerError(
                f"the plan is {plan.duration:.0f} s long, more than {MAX_SECONDS:.0f} s: sign it in pieces"
            )
        hand = plan.left_handed if left_handed is None else left_handed
        return self._stages.compose(plan, check_seed(seed), bool(hand), check_fps(fps))

    def render(
        self,
        motion: Motion | Iterable[Motion],
        *,
        signer: Signer | None = None,
        style: str | None = None,
        look: str | None = None,
        size: int | None = None,
        label: bool = True,
        quality: str = DEFAULT_QUALITY,
    ) -> Iterator[np.ndarray]:
        """The frames of a motion, or of its pieces in order, (size, size, 3) uint8 each, one at a time.

        An array may be drawn over by the next frame: copy what you keep. `label` draws "synthetic signing".
        quality: "fast", or "high" for the diffusion look in 20 steps a frame. What the others default to, and
        what a filmed signer (the folder of a training on footage) takes: see `checked_look`.
        """
        drawn = checked_look(signer, style, look, size, label, quality)
        who = drawn["signer"]
        renderer: Renderer
        if isinstance(who, str):
            renderer = self._renderer(who, drawn["style"], drawn["look"], drawn["size"])
        else:
            renderer = self._filmed(who)
        if quality == "high":
            renderer = cast("DiffusionRenderer | FilmedRenderer", renderer).careful()
        pieces = (motion,) if isinstance(motion, Motion) else motion
        if isinstance(renderer, FilmRenderer):
            frames = _calm(renderer.film(pieces))
        else:
            frames = _calm(chain.from_iterable(map(renderer.frames, pieces)))
        return map(stamp, frames) if label else frames

    # --- all stages at once ---

    def sign(
        self,
        text: str,
        *,
        language: str = DEFAULT_LANGUAGE,
        signer: Signer | None = None,
        style: str | None = None,
        look: str | None = None,
        size: int | None = None,
        fps: float = FPS,
        speed: float = 1.0,
        seed: int = 0,
        left_handed: bool | None = None,
        label: bool = True,
        quality: str = DEFAULT_QUALITY,
    ) -> Clip:
        """Sign `text`: a Clip with its plan and motion; its frames are rendered when asked for or saved.

        signer: an id, a mixture, or the folder of a filmed signer; for what goes with it see `checked_look`.
        """
        look_of = checked_look(signer, style, look, size, label, quality)
        movement = self.movement(self.plan(text, language, speed), seed, left_handed, fps)
        return self._clip(movement.plan, joined(_calm(movement.pieces())), look_of, seed)

    def stream(
        self,
        text: str,
        *,
        language: str = DEFAULT_LANGUAGE,
        signer: Signer | None = None,
        style: str | None = None,
        look: str | None = None,
        size: int | None = None,
        fps: float = FPS,
        speed: float = 1.0,
        seed: int = 0,
        left_handed: bool | None = None,
        label: bool = True,
        quality: str = DEFAULT_QUALITY,
    ) -> Iterator[Clip]:
        """Sign `text` as one Clip a sentence, each given out with its frames as soon as it is rendered.

        The movement is that of `sign`, cut between sentences: played one after the other, nothing jumps.
        Only the sentence at hand is held.
        """
        look_of = checked_look(signer, style, look, size, label, quality)
        movement = self.movement(self.plan(text, language, speed), seed, left_handed, fps)
        return self._sentences(movement, look_of, seed)

    def save_pose(
        self,
        motion: Motion,
        path: str | Path,
        *,
        signer: Signer | None = None,
        size: int | None = None,
    ) -> None:
        """Write a motion as `.pose`: MediaPipe Holistic points in the pixels of this signer's video."""
        with Outputs() as outputs:
            self.write_pose(outputs.claim(path, (".pose",)), motion, signer=signer, size=size)

    def write_pose(self, path: Path, motion: Motion, *, signer: Signer | None, size: int | None) -> None:
        """As `save_pose`, in place: for a caller that has claimed `path`."""
        from stable_signer.media.posefile import write_pose

        who = checked_signer(signer)
        side = checked_size(who, size)
        # a filmed signer's pictures are cropped to where the first signer's body lies in its own
        seen_as = who if isinstance(who, str) else check_signer(None)
        write_pose(path, motion, self._stages.body(), seen_as, side)

    def load_pose(self, path: str | Path) -> Motion:
        """The motion in a `.pose` file: the one written, or one fitted to another program's points."""
        from stable_signer.media.posefile import read_pose

        return read_pose(path, self._stages.body())

    # --- inside ---

    def _clip(self, plan: Plan, motion: Motion, look_of: dict[str, Any], seed: int) -> Clip:
        return Clip(plan, motion, lambda m: self.render(m, **look_of), provenance_of(plan, look_of, seed))

    def _sentences(self, movement: Movement, look_of: dict[str, Any], seed: int) -> Iterator[Clip]:
        for plan, first, last in sentence_pieces(movement.plan, movement.frame_count, movement.fps):
            clip = self._clip(plan, movement.frames(first, last), look_of, seed)
            _ = clip.frames  # rendered before it is handed over: "ready" means ready to show
            yield clip


def provenance_of(plan: Plan | None, look_of: dict[str, Any], seed: int | None) -> Provenance:
    """What the file says about its making; `plan` is None for a motion that came without one.

    look_of: what `checked_look` gave.
    """
    who = look_of["signer"]
    filmed = None if isinstance(who, str) else cast("FilmedSigner", who)
    return Provenance(
        language=plan.language if plan else "",
        signer=filmed.card.name if filmed else who,
        style=look_of["style"] or "",
        look=look_of["look"] + (" in high quality" if look_of.get("quality") == "high" else ""),
        planner=plan.planner if plan else "",
        seed=seed,
        text_sha256=text_hash(plan.text) if plan and plan.text else "",
        filmed=filmed.card if filmed else None,
        weights=filmed.weights if filmed else (),
    )


def write_frames(
    target: Path | BinaryIO, frames: Iterable[np.ndarray], fps: float, provenance: Provenance
) -> int:
    """Encode `frames` to `target` (see `media.video.VideoWriter`) as they come; returns how many."""
    from stable_signer.media.video import VideoWriter

    video: VideoWriter | None = None
    try:
        for frame in frames:
            if video is None:
                video = VideoWriter(target, size=frame.shape[0], fps=fps, tags=provenance.tags())
            video.write(frame)
    except BaseException:
        if video is not None:
            video.abandon()
        raise
    if video is None:
        raise StableSignerError("the motion has no frames: give it at least one")
    video.close()
    return video.frames


def _calm(items: Iterator[Item]) -> Iterator[Item]:
    """The same items, made with torch on one thread.

    Our batches are small, and pictures are painted by threads of their own: torch's waiting threads would
    only take the cores from them (measured: a quarter of all processor time). In between, the caller's
    setting holds.
    """
    torch = sys.modules.get("torch")
    if torch is None:  # small stages in tests: nothing to calm
        yield from items
        return
    threads = torch.get_num_threads()
    while True:
        torch.set_num_threads(1)
        try:
            item = next(items)
        except StopIteration:
            return
        finally:
            torch.set_num_threads(threads)
        yield item


def sentence_pieces(plan: Plan, frames: int, fps: float) -> Iterator[tuple[Plan, int, int]]:
    """Cut a plan of `frames` frames halfway between its sentences.

    Yields each sentence's plan, with times from its own start, and its frames `first` to `last` (excluded).
    Together the pieces are all frames; a plan without sentences is one piece.
    """
    bounds = [0]
    for a, b in pairwise(plan.sentences):
        bounds.append(min(max(round((a.end + b.start) / 2 * fps), bounds[-1]), frames))
    bounds.append(frames)
    for first, last in pairwise(bounds):
        if first == last:  # a sentence in which nothing is signed
            continue
        start, end = first / fps, last / fps if last < frames else float("inf")

        def inside(items: tuple[Any, ...], start: float = start, end: float = end) -> tuple[Any, ...]:
            return tuple(item for item in items if start <= (item.start + item.end) / 2 < end)

        sentences = inside(plan.sentences)
        piece = replace(
            plan,
            text=" ".join(s.text for s in sentences) or plan.text,
            signs=inside(plan.signs),
            nonmanuals=inside(plan.nonmanuals),
            sentences=sentences,
        )
        yield piece.shifted(-start), first, last


# --- what a caller may name; each returns the checked value or raises with the list of what there is ---


def check_text(text: str) -> None:
    """Refuse a text that is blank, too long, or not text at all."""
    if not text.strip():
        raise StableSignerError("the text is empty: write at least one word")
    if len(text) > MAX_CHARACTERS:
        raise StableSignerError(
            f"the text has {len(text):,} characters, more than {MAX_CHARACTERS:,}: sign it in pieces"
        )
    for at, character in enumerate(text):
        category = unicodedata.category(character)
        if category == "Cs":
            raise StableSignerError("the text is not valid UTF-8: save it as UTF-8")
        if category == "Cc" and character not in "\t\n\r":
            raise StableSignerError(
                f"the text has a control character (U+{ord(character):04X}, at position {at + 1}): remove it"
            )


def _unmet(prompt: Prompt) -> tuple[str, ...]:
    """A note for each wish of a prompt that this version cannot fulfil."""
    wishes = [w for w in (prompt.style, prompt.signer) if w]
    return tuple(f"the prompt wishes for {wish!r}, which signing cannot follow yet" for wish in wishes)


def check_planner(planner: str) -> str:
    """A known planner."""
    return _one_of("planner", planner, PLANNERS)


def check_motion(motion: str) -> str:
    """A known way to make motion."""
    return _one_of("motion", motion, MOTIONS)


def check_manner(manner: str, motion: str = DEFAULT_MOTION) -> Manner:
    """A manner of signing, by name or mixed; the prior knows none but the neutral one."""
    from stable_signer.slp_moe.manner import NEUTRAL, mix

    mixed = mix(manner)
    if motion == "prior" and manner != NEUTRAL:
        raise StableSignerError(f"the manner {manner!r} needs the motion 'moe': leave it out, or choose that")
    return mixed


def check_language(language: str) -> str:
    """The ISO 639-3 code of a known language; the everyday short names ASL and DGS are taken too."""
    code = LANGUAGE_ALIASES.get(language.lower(), language)
    return _one_of("language", code, LANGUAGES)


def checked_look(
    signer: Signer | None = None,
    style: str | None = None,
    look: str | None = None,
    size: int | None = None,
    label: bool = True,
    quality: str = DEFAULT_QUALITY,
) -> dict[str, Any]:
    """The arguments of `StableSigner.render`, checked before any work is done; checked once more they stay.

    None stands for the first signer and style, `default_look` and DEFAULT_SIZE. A filmed signer has one wall
    and light (style stays None), one look, `diffusion`, and one size: others are refused, None is these.
    """
    who = checked_signer(signer)
    side = checked_size(who, size)
    if isinstance(who, str):
        style, look = check_style(style, who), default_look(side) if look is None else look
    else:
        look = "diffusion" if look is None else _one_of("look", look, LOOKS)
        if look != "diffusion":
            raise StableSignerError(
                f"a filmed signer is drawn by the look diffusion only, not {look}: leave out the look"
            )
        if style is not None:
            raise StableSignerError(
                "a filmed signer stands in the wall and light of the footage: leave out the style"
            )
    check_look(look, side, quality)
    return {"signer": who, "style": style, "look": look, "size": side, "label": label, "quality": quality}


def default_look(size: int) -> str:
    """How a video of this size is drawn when nobody says how."""
    from stable_signer.pose2vid.framing import NETWORK_SIZES

    return DEFAULT_LOOK if size in NETWORK_SIZES else QUICK_LOOK


def checked_signer(signer: Signer | None) -> str | FilmedSigner:
    """As `check_signer`, and a filmed signer where the text (or path) names the folder of one.

    Names come first: a folder that is called as a signer is written `./maya`. Raises StableSignerError for a
    folder that no filmed signer can be drawn from, and for a filmed signer with a share.
    """
    if signer is None or isinstance(signer, str):
        folder = None if signer is None else _folder_of(signer)
        if folder is None:
            return check_signer(signer)
    elif isinstance(signer, os.PathLike):
        folder = os.fspath(signer)
    else:
        return signer
    from stable_signer.pose2vid.filmed import filmed_signer

    return filmed_signer(folder)


def _folder_of(signer: str) -> str | None:
    """The folder that a text names, whether or not it is there; None where it names signers, or nobody."""
    from stable_signer.pose2vid.signers import SIGNERS

    names = _names_in(signer)
    if all(name in SIGNERS for name in names):
        return None
    if os.path.isdir(os.path.expanduser(signer)):
        return signer
    if "," in signer or ":" in signer:
        for name in names:
            if _is_path(name) or os.path.isdir(name):
                raise StableSignerError(
                    f"a filmed signer cannot be mixed: name the folder {name} alone, without a share"
                )
    return signer if _is_path(names[0]) else None


def _names_in(signer: str) -> list[str]:
    """The names in a text that may be a mixture (see `shares.read_shares`), known or not."""
    return [part.partition(":")[0].strip() for part in signer.split(",")]


def _is_path(text: str) -> bool:
    """Whether a text is written as a path, not as a name; looks at the text only."""
    return any(mark in text for mark in "/\\~") or text.startswith(".")


def check_signer(signer: str | None) -> str:
    """The id of a known signer or of a mixture of them ("maya:0.6,ben:0.4"); None means the first.

    Looks at no file: what comes from a request is checked by this, never by `checked_signer`.
    """
    from stable_signer.pose2vid.signers import SIGNERS, signer_card

    if signer is None:
        return next(iter(SIGNERS))
    if any(map(_is_path, _names_in(signer))):
        raise StableSignerError(
            f"the signer {signer!r} is a folder's name, and filmed signers are drawn by `sign` and `render` "
            f"only: use one of {', '.join(SIGNERS)}"
        )
    return signer_card(signer).id


def check_style(style: str | None, signer: str) -> str:
    """The id of a known style; None means the first."""
    from stable_signer.pose2vid.signers import STYLES

    return next(iter(STYLES)) if style is None else _one_of("style", style, STYLES)


def check_look(look: str, size: int, quality: str = DEFAULT_QUALITY) -> str:
    """A known look that this machine can draw at this size and in this quality."""
    _one_of("look", look, LOOKS)
    if _one_of("quality", quality, QUALITIES) == "high" and look != "diffusion":
        raise StableSignerError(
            f"the look {look} has one quality only: leave out the quality, or use the look diffusion"
        )
    if look == "diffusion":
        from stable_signer.pose2vid.framing import check_network_size

        check_network_size(size)
    return look


def checked_size(signer: str | FilmedSigner, size: int | None) -> int:
    """A size that a video of this signer can have; None means the usual one."""
    from stable_signer.media.video import check_size

    if isinstance(signer, str):
        return check_size(DEFAULT_SIZE if size is None else size)
    from stable_signer.pose2vid.footage import SIZE

    if size not in (None, SIZE):
        raise StableSignerError(
            f"a filmed signer is drawn at {SIZE} pixels, as learned, not at {size}: leave out the size"
        )
    return SIZE


def check_speed(speed: float) -> float:
    """A speed within what stays readable."""
    if not MIN_SPEED <= speed <= MAX_SPEED:  # also refuses NaN
        raise StableSignerError(f"the speed {speed:g} does not work: use {MIN_SPEED:g} to {MAX_SPEED:g}")
    return float(speed)


def check_seed(seed: int) -> int:
    """A seed that every generator takes."""
    if not 0 <= seed < 2**32:
        raise StableSignerError(f"the seed {seed} does not work: use a whole number from 0 to {2**32 - 1}")
    return seed


def _filmed_renderer(signer: FilmedSigner) -> FilmedRenderer:
    from stable_signer.pose2vid.filmed import FilmedRenderer

    return FilmedRenderer(signer)


def _one_of(what: str, value: str, known: Iterable[str]) -> str:
    names = list(known)
    if value not in names:
        raise StableSignerError(f"there is no {what} {value!r}: use one of {', '.join(names)}")
    return value


def shipped_stages(
    planner_name: str = DEFAULT_PLANNER,
    motion: str = DEFAULT_MOTION,
    manner: Manner | None = None,
    lexicon: Callable[[], Lexicon] | None = None,
) -> Stages:
    """The real stages, with the weights in the package; `lexicon` gives another one than that which ships."""
    from stable_signer.body.skeleton import Body
    from stable_signer.slp_moe.compose import Composer
    from stable_signer.slp_moe.lexicon import Lexicon
    from stable_signer.slp_moe.schedule import schedule
    from stable_signer.slul.glosses import Glossary

    # Loaded when they are first needed: drawing a .pose needs neither.
    @cache
    def planner() -> RulePlanner:
        from stable_signer.slul.planner import planner_of

        return planner_of(planner_name, Glossary.load())

    lexicon = cache(lexicon or Lexicon.load)

    @cache
    def experts() -> tuple[SlpMoe, Linker]:
        from stable_signer.slp_moe.model import SlpMoe
        from stable_signer.slul.linker import Linker
        from stable_signer.slul.planner import load_reader

        return SlpMoe.load(), Linker(load_reader("ase"))

    def compose(plan: Plan, seed: int, left_handed: bool, fps: float) -> Movement:
        if motion == "prior":
            return Composer(plan, lexicon(), seed=seed, left_handed=left_handed, fps=fps)
        from stable_signer.slp_moe.perform import ExpertComposer

        return ExpertComposer(
            plan, lexicon(), *experts(), seed=seed, left_handed=left_handed, fps=fps, manner=manner
        )

    def renderer(signer: str, style: str, look: str, size: int) -> Renderer:
        from stable_signer.pose2vid.signers import STYLES, signer_card

        body, card = Body.load(), signer_card(signer)
        if look == "skeleton":
            from stable_signer.pose2vid.skeleton import SkeletonRenderer

            return SkeletonRenderer(body, card, STYLES[style], size=size)
        if look == "mesh":
            from stable_signer.pose2vid.mesh import MeshRenderer

            return MeshRenderer(body, card, STYLES[style], size=size)
        from stable_signer.pose2vid.studio import Appearance, StudioRenderer

        if look != "diffusion":
            return StudioRenderer(body, Appearance(card, STYLES[style], look), size)
        from stable_signer.pose2vid.diffusion import DiffusionRenderer

        return DiffusionRenderer(body, Appearance(card, STYLES[style]), size)

    return Stages(
        draft=lambda text, language: planner().draft(text, language),
        schedule=lambda draft, speed: schedule(draft, lexicon(), speed=speed),
        compose=compose,
        renderer=renderer,
        body=Body.load,
    )
