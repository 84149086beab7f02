"""Sentences through each system, and back: what the judge recognises in each sign's own frames.

The judge (`metrics/recognition.py`) names isolated signs of its own vocabulary, so what is compared are the
glosses of that vocabulary, in order: of the reference, and of what was recognised in the frames in which a
system says that it signs one of them (its own timing: the plan's for ours, the joins' for the rival). Signs
outside the vocabulary count neither for nor against anybody. What was read is also put back into English
(`text.py`) and scored against the sentence. The motion is read, the rival's points fitted to
our body as any other tool's are (`media/posefile.py`); with MediaPipe's environment so is the picture
(`redetection.py`), of every system and of those that are broken on purpose.

Motions, what was seen of their videos, and what was read are kept in a folder, a file a system and sentence
(`kept.py`); an interrupted run goes on from there, and another judge reads what lies there. Videos are made
sentence by sentence, all systems of one before the next.
"""

from __future__ import annotations

import csv
import hashlib
import importlib.metadata
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from stable_signer.body.motion import joined
from stable_signer.body.skeleton import Body
from stable_signer.end_to_end import kept
from stable_signer.end_to_end.kept import Signed
from stable_signer.end_to_end.redetection import LOOK, SIZE, looked_at, still
from stable_signer.end_to_end.rivals import SpokenToSigned, export_lexicon
from stable_signer.end_to_end.text import WORDS, TextReader
from stable_signer.errors import StableSignerError
from stable_signer.media import posefile
from stable_signer.media.files import Outputs, read_bytes
from stable_signer.media.landmarks import NEEDS, check_mediapipe
from stable_signer.metrics import recognition as rec
from stable_signer.metrics.backtranslation import BackTranslator, as_words, text_words
from stable_signer.metrics.motion import describe, mean_pose
from stable_signer.metrics.text import bleu_counts, bleu_of, text_scores
from stable_signer.pipeline import DEFAULT_MOTION, StableSigner, check_look
from stable_signer.slp_moe.compose import mirrored

MARGIN = 2  # frames on either side of a sign's stroke that the judge may see
OURS = {"ours": ("slul", "moe"), "ours-rules": ("rules", "moe"), "ours-prior": ("slul", "prior")}
"""Ours with planner and motion: as it ships, and with one part taken out."""
RIVAL = "spoken-to-signed"
SYSTEMS = (*OURS, RIVAL)
BROKEN = ("mirrored", "reversed", "frozen-face", "mean-pose")
SHOWN_BROKEN = ("mirrored", "frozen-face", "mean-pose")  # those whose video is another
VERSION = importlib.metadata.version("stable-signer")
DRAWS = 1000  # of the bootstrap


@dataclass(frozen=True)
class Sentence:
    """A text and the glosses that a reference has for it."""

    text: str
    glosses: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """What was read back. claimed: classes that the system says it signs; best: for each the five likeliest.

    line: all glosses that it says it signs, "" for each of those that were claimed, in their order.
    measures: of `metrics.motion.describe`, with seconds, face_activity and left_led (share of signs).
    """

    claimed: tuple[str, ...]
    best: tuple[tuple[str, ...], ...]
    measures: dict[str, float]
    line: tuple[str, ...] = ()
    error: str = ""

    @property
    def read(self) -> str:
        """The likeliest class of each sign, as a line."""
        return " ".join(b[0] for b in self.best)

    def filled(self, glosses: Sequence[str]) -> list[str]:
        """The line with glosses where the judge looked: one for each claimed class."""
        given = iter(glosses)
        return [gloss or next(given) for gloss in self.line]


def read_sentences(path: Path) -> list[Sentence]:
    """A TSV file with the columns text and gloss. Raises StableSignerError for an empty or broken one."""
    rows = list(
        csv.DictReader(read_bytes(path, "the sentences").decode("utf-8-sig").splitlines(), delimiter="\t")
    )
    if not rows:
        raise StableSignerError(f"{path} has no sentences: write text, a tab and glosses under the heading")
    for line, row in enumerate(rows, 2):
        if not (row.get("text") or "").strip() or not (row.get("gloss") or "").strip():
            raise StableSignerError(f"line {line} of {path} needs text and gloss, a tab between")
    return [Sentence(row["text"].strip(), tuple(row["gloss"].split())) for row in rows]


# ----------------------------------------------------------------------------------------------------
# The systems
# ----------------------------------------------------------------------------------------------------


def sign_ours(texts: Sequence[str], planner: str, motion: str = DEFAULT_MOTION) -> Iterator[Signed]:
    """Our own system with a planner and a motion, as `sign` makes it; one text after the other."""
    engine = StableSigner.from_pretrained(planner, motion)
    for text in texts:
        movement = engine.movement(engine.plan(text))
        made = joined(movement.pieces())
        signs = tuple(
            (s.gloss, round(s.start * made.fps), round(s.end * made.fps))
            for s in movement.plan.signs
            if s.kind != "pause"
        )
        yield Signed(made, signs)


def sign_rival(texts: Sequence[str], environment: Path, work: Path) -> Iterator[Signed]:
    """spoken-to-signed with our lexicon; its points fitted to our body."""
    rival = SpokenToSigned(environment)
    asked = {x for pairs in rival.glosses(texts) for pair in pairs for x in pair}
    mark = hashlib.sha256("\n".join(sorted(asked)).encode()).hexdigest()[:10]
    lexicon = work / f"rival-lexicon-{mark}"
    if not (lexicon / "index.csv").exists():
        export_lexicon(lexicon, asked)
    words: dict[str, str] = {}
    glosses: dict[str, str] = {}
    with (lexicon / "index.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            words.setdefault(row["words"], row["glosses"])
            glosses[row["glosses"].lower()] = row["glosses"]
    for result in rival.poses(texts, lexicon, work / f"rival-poses-{mark}"):
        if result.error:
            yield Signed(still(2), (), result.error)
            continue
        motion = posefile.read_pose(result.pose, Body.load())
        shown = [t for t in result.tokens if t[2] != "unmatched"]
        scale = motion.fps / result.fps
        signs = tuple(
            (words.get(w) or glosses.get(w) or glosses.get(g, g.upper()), round(a * scale), round(b * scale))
            for (w, g, how), (a, b) in zip(shown, result.spans, strict=True)
            if how == "lexicon"
        )
        yield Signed(motion, signs)


def seen(made: Signed, python: Path, folder: Path, look: str = LOOK) -> Signed:
    """What a system made as it is seen in its video; a failure stays one.

    `folder` keeps it by the motion itself: two systems that make the same have it drawn and looked at once.
    """
    if made.error:
        return made
    place = folder / f"{kept.key(kept.motion_mark(made.motion), look, SIZE, NEEDS[0])}.npz"
    if not place.exists():
        motion, found = looked_at(made.motion, python, look)
        kept.keep(place, Signed(motion, (), found=found))
    before = kept.kept(place)
    scale = before.motion.fps / made.motion.fps
    signs = tuple((g, round(a * scale), round(b * scale)) for g, a, b in made.signs)
    return replace(made, motion=before.motion, signs=signs, found=before.found)


def broken(made: Signed, how: str) -> Signed:
    """A system spoilt on purpose, to see that its row tells: one of BROKEN."""
    motion = made.motion
    if how == "mirrored":
        return replace(made, motion=mirrored(motion))
    if how == "frozen-face":
        return replace(made, motion=replace(motion, face=np.repeat(motion.face[:1], len(motion), 0)))
    if how == "mean-pose":
        return replace(made, motion=mean_pose([motion], len(motion)))
    if how == "reversed":  # the signs in the opposite order
        order = made.signs[::-1]
        return replace(made, signs=order)
    raise StableSignerError(f"there is no such breakage {how!r}: use one of {', '.join(BROKEN)}")


# ----------------------------------------------------------------------------------------------------
# Reading back
# ----------------------------------------------------------------------------------------------------


def read_back(made: Signed, judge: rec.Recogniser, names: Mapping[str, str]) -> Outcome:
    """Let the judge look at every sign that it could know; names: our gloss -> its class."""
    seen = rec.features(made.motion)
    parts, claimed, led, line = [], [], [], []
    for gloss, first, last in made.signs:
        window = seen[max(first - MARGIN, 0) : max(last + MARGIN, first + 4)]
        if gloss not in names or len(window) < 2:
            line.append(gloss)
            continue
        line.append("")
        ready = rec.prepared(window)
        led.append(not np.array_equal(ready, window[rec.active(window)]))
        parts.append(ready)
        claimed.append(names[gloss])
    best: tuple[tuple[str, ...], ...] = ()
    if parts:
        order = np.argsort(-judge.score(parts), axis=1)[:, :5]
        best = tuple(tuple(judge.glosses[k] for k in row) for row in order)
    measures = describe(made.motion) | {
        "seconds": made.motion.duration,
        "face_activity": float(np.abs(np.diff(made.motion.face, axis=0)).sum(1).mean() * made.motion.fps),
        "left_led": float(np.mean(led)) if led else 0.0,
    }
    measures |= made.found
    return Outcome(tuple(claimed), best, measures, tuple(line), made.error)


class Run:
    """One run: who judges, where its files are, and who makes what.

    Every method gives what lies in the folder and makes only what does not.
    """

    def __init__(
        self,
        work: Path,
        judge: rec.Recogniser,
        environment: Path | None = None,
        redetect: Path | None = None,
    ) -> None:
        self.work, self.judge = work, judge
        self.environment, self.python = environment, redetect
        self.names = judge.lexicon_glosses()
        self._rival = SpokenToSigned(environment).version if environment else ""
        self._judged_by = hashlib.sha256(
            repr([(c, h.weight.sum().item()) for c, _, h in judge.members]).encode()
        ).hexdigest()[:8]

    def motions(self, system: str, texts: Sequence[str]) -> Iterator[Signed]:
        """What a system makes of texts, one after the other, so that each is kept before the next is made."""
        places = [self._place(system, t) for t in texts]
        new = list(dict.fromkeys(t for t, p in zip(texts, places, strict=True) if not p.exists()))
        maker: Iterator[Signed] = iter(())
        if new and system == RIVAL:
            assert self.environment is not None
            maker = sign_rival(new, self.environment, self.work)
        elif new:
            maker = sign_ours(new, *OURS[system])
        for place in places:
            if not place.exists():
                made = next(maker)
                kept.keep(place, made)
                yield made
            else:
                yield kept.kept(place)

    def read(
        self, system: str, sentences: Sequence[Sentence], how: str = "", look: str = ""
    ) -> list[Outcome]:
        """Outcomes of a system. how: one of BROKEN or ""; look: of the video to read, "" for the motion."""
        name = "-".join(x for x in (system, how, look and f"{look}-video") if x)
        (self.work / name).mkdir(parents=True, exist_ok=True)
        places = [self.work / name / self._judged(system, s.text, how, look) for s in sentences]
        missing = [k for k, p in enumerate(places) if not p.exists()]
        made = self.motions(system, [sentences[k].text for k in missing])
        for k, signed in zip(missing, made, strict=True):
            one = broken(signed, how) if how and not signed.error else signed
            if look:
                assert self.python is not None
                one = seen(one, self.python, self.work / "seen", look)
            outcome = read_back(one, self.judge, self.names)
            with Outputs() as outputs:
                outputs.claim(places[k]).write_text(json.dumps(asdict(outcome)), encoding="utf-8")
        return [_outcome(p) for p in places]

    def _made_by(self, system: str, text: str) -> str:
        """All that decides a motion."""
        who = [self._rival] if system == RIVAL else list(OURS[system])
        return kept.key(text, system, who, VERSION, kept.weights_mark())

    def _place(self, system: str, text: str) -> Path:
        return self.work / "motions" / system / f"{self._made_by(system, text)}.npz"

    def _judged(self, system: str, text: str, how: str, look: str) -> str:
        video = (look, SIZE, NEEDS[0]) if look else ()
        return f"{kept.key(self._made_by(system, text), how, *video, 'line')}-{self._judged_by}.json"


def _outcome(path: Path) -> Outcome:
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        best = tuple(tuple(b) for b in told["best"])
        return Outcome(tuple(told["claimed"]), best, told["measures"], tuple(told["line"]), told["error"])
    except (ValueError, KeyError, TypeError) as error:
        raise StableSignerError(f"the result {path} is damaged: delete it, and the run goes on") from error


def score(
    outcomes: Sequence[Outcome],
    sentences: Sequence[Sentence],
    reader: TextReader,
    beside: Sequence[Outcome] = (),
) -> dict[str, float]:
    """A row: glosses read against the reference's (judge's vocabulary only), and what the motion is like.

    beside: outcomes of the same sentences; time_ratio and distance_ratio are seconds, and metres that hands
    go, over theirs, of all sentences together; those that failed in either are left out.

    sign_top1, sign_top5: of the signs that the system says it makes, the share that the judge recognises.
    planned_*: the same scores for what it says it signs, as if every sign were recognised.
    text_*, told_*, planned_text_*: of English made of it, each with its companion of words (`text.py`).
    """
    names = reader.names
    wanted = [" ".join(names[g] for g in s.glosses if g in names) for s in sentences]
    out: dict[str, float] = dict(text_scores([o.read for o in outcomes], wanted))
    out |= {
        f"planned_{k}": v for k, v in text_scores([" ".join(o.claimed) for o in outcomes], wanted).items()
    }
    texts = [s.text for s in sentences]
    for kind, lines in _lines(outcomes, reader).items():
        out |= reader.scores(kind, lines, texts)
    pairs = [(c, b) for o in outcomes for c, b in zip(o.claimed, o.best, strict=True)]
    out["signs"] = float(len(pairs))
    out["sign_top1"] = float(np.mean([c == b[0] for c, b in pairs])) if pairs else 0.0
    out["sign_top5"] = float(np.mean([c in b for c, b in pairs])) if pairs else 0.0
    out["failed"] = float(sum(bool(o.error) for o in outcomes))
    good = [o.measures for o in outcomes if not o.error]
    out |= {k: float(np.mean([m[k] for m in good])) for k in (good[0] if good else {})}
    both = [(a.measures, b.measures) for a, b in zip(outcomes, beside) if not a.error and not b.error]
    for name, what in (("time_ratio", "seconds"), ("distance_ratio", "travel")) if both else ():
        out[name] = sum(a[what] for a, _ in both) / max(sum(b[what] for _, b in both), 1e-9)
    return out


def gain(
    ours: Sequence[Outcome], rival: Sequence[Outcome], sentences: Sequence[Sentence], reader: TextReader
) -> dict[str, dict[str, float]]:
    """Relative gain in BLEU-4 and BLEU-1, in percent, with its 95% interval, by what is compared.

    glosses: as the row's own; text, words, told, told_words, planned_text, planned_words: the scores of
    English of that name (`text.py`). A paired bootstrap over sentences; the same draws for all of them.
    BLEU-4 is left out where a side has no four in a row: it is 0 then by its definition.
    """
    names, texts = reader.names, [text_words(s.text) for s in sentences]
    wanted = [" ".join(names[g] for g in s.glosses if g in names) for s in sentences]
    lines = [_lines(side, reader) for side in (ours, rival)]
    found = {"glosses": _gain([o.read for o in ours], [o.read for o in rival], wanted)}
    for kind, plain in WORDS.items():
        for name, form in ((kind, reader.text), (plain, as_words)):
            own, other = ([form(line) for line in side[kind]] for side in lines)
            found[name] = _gain(own, other, texts)
    return found


def _lines(outcomes: Sequence[Outcome], reader: TextReader) -> dict[str, list[list[str]]]:
    """Glosses of each sentence, by the kinds of WORDS."""
    read = [reader.glosses_of(b[0] for b in o.best) for o in outcomes]
    return {
        "text": read,
        "told": [o.filled(r) for o, r in zip(outcomes, read, strict=True)],
        "planned_text": [o.filled(reader.glosses_of(o.claimed)) for o in outcomes],
    }


def _gain(ours: Sequence[str], rival: Sequence[str], wanted: Sequence[str]) -> dict[str, float]:
    """Keys bleu4_gain, _low, _high and bleu1_...; none of an order of which a side has no n-gram at all."""
    rng = np.random.default_rng(0)
    counts = [bleu_counts(side, wanted) for side in (ours, rival)]
    orders = [n for n in (4, 1) if all(c[:, 3 + n].any() for c in counts)]  # columns 4 to 7: n-grams in all
    draws: list[list[float]] = []
    for k in range(DRAWS + 1):
        rows = np.arange(len(wanted)) if k == 0 else rng.integers(0, len(wanted), len(wanted))
        x, y = (c[rows].sum(0) for c in counts)
        draws.append([100 * (bleu_of(x, n) / max(bleu_of(y, n), 1e-9) - 1) for n in orders])
    table = np.array(draws)
    found: dict[str, float] = {}
    for place, n in enumerate(orders):
        low, high = np.percentile(table[1:, place], [2.5, 97.5])
        found |= {
            f"bleu{n}_gain": table[0, place], f"bleu{n}_low": float(low), f"bleu{n}_high": float(high),
        }  # fmt: skip
    return found


def evaluate(
    sentences: Sequence[Sentence],
    systems: Sequence[str],
    work: Path,
    *,
    environment: Path | None = None,
    judge: rec.Recogniser | None = None,
    checks: bool = True,
    redetect: Path | None = None,
    videos: int | None = None,
    diffusion: int = 0,
    seed: int = 0,
) -> dict[str, Any]:
    """All rows. The first system is the one that is broken on purpose, and beside which times and ways stand.

    redetect, the Python of MediaPipe's environment, adds a row "SYSTEM, from the video" to each system and to
    the broken ones: of `videos` of the sentences, drawn by `seed` (None: all), and of the first `diffusion`
    of those also with the look `diffusion` for the first system, beside the same ones in the usual look.
    Raises StableSignerError for an unknown system or a missing environment, before any work.
    """
    unknown = [s for s in systems if s not in SYSTEMS]
    if unknown or not systems:
        raise StableSignerError(
            f"the system {unknown[0]!r} is unknown: use {', '.join(SYSTEMS)}"
            if unknown
            else f"no system is named: use {', '.join(SYSTEMS)}"
        )
    if RIVAL in systems and environment is None:
        raise StableSignerError("the rival needs its environment: name it with --environment")
    if redetect is not None:
        check_mediapipe(redetect)
    elif diffusion:
        raise StableSignerError("the look diffusion can only be read from videos: name --redetect too")
    if diffusion:
        check_look("diffusion", SIZE)
    judge = judge or rec.Recogniser.load()
    names = judge.lexicon_glosses()
    reader = TextReader(BackTranslator.load(), names)
    if not any(g in names for s in sentences for g in s.glosses):
        raise StableSignerError(
            "the judge knows none of the references' glosses: see Recogniser.lexicon_glosses"
        )
    run = Run(work, judge, environment if RIVAL in systems else None, redetect)
    first, rows = systems[0], {}
    outcomes = {s: run.read(s, sentences) for s in systems}
    own = outcomes[first]
    for system, read in outcomes.items():
        rows[system] = score(read, sentences, reader, own)
    rows[f"{first}, shuffled"] = score([*own[1:], *own[:1]], sentences, reader)
    for how in BROKEN if checks else ():
        rows[f"{first}, {how}"] = score(run.read(first, sentences, how), sentences, reader, own)
    bounds = reader.bounds([s.glosses for s in sentences], [s.text for s in sentences])
    report: dict[str, Any] = {"sentences": len(sentences), "rows": rows, "text_bounds": bounds}
    told = RIVAL in systems and first != RIVAL
    if told:
        report["gain"] = gain(own, outcomes[RIVAL], sentences, reader)
    if redetect is None:
        return report
    picked = _picked(len(sentences), videos, seed)
    some, driving = [sentences[k] for k in picked], [own[k] for k in picked]
    report["videos"] = len(some)
    kinds = [(s, "") for s in systems] + [(first, how) for how in SHOWN_BROKEN if checks]
    for one in some:  # an interrupted run has all rows of the sentences that it has
        for system, how in kinds:
            run.read(system, [one], how, LOOK)
    looked = {kind: run.read(kind[0], some, kind[1], LOOK) for kind in kinds}
    for (system, how), read in looked.items():
        name = f"{system}, {how}" if how else system
        rows[f"{name}, from the video"] = score(read, some, reader, driving)
    if told:
        report["gain_from_video"] = gain(looked[first, ""], looked[RIVAL, ""], some, reader)
    if diffusion:
        few = some[:diffusion]
        for look in (LOOK, "diffusion"):
            read = run.read(first, few, "", look)
            rows[f"{first}, look {look}, {len(few)} videos"] = score(read, few, reader, driving)
    return report


def _picked(count: int, wanted: int | None, seed: int) -> list[int]:
    """Which of `count` sentences are made videos of, in a random order; the same for a larger number."""
    order = np.random.default_rng(seed).permutation(count)
    return [int(k) for k in order[: count if wanted is None else wanted]]
