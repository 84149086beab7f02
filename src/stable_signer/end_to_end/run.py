"""Sentences through each system, and back: what the judge recognises in each sign's own frames.

The judge (`metrics/recognition.py`) names isolated signs of its own vocabulary, so what is compared are the
glosses of that vocabulary, in order: of the reference, and of what was recognised in the frames in which a
system says that it signs one of them (its own timing: the plan's for ours, the joins' for the rival). Signs
outside the vocabulary count neither for nor against anybody. The motion is read, the rival's points fitted to
our body as any other tool's are (`media/posefile.py`); with MediaPipe's environment so is the picture
(`redetection.py`).

Results are kept in a folder, a file a system and sentence, and an interrupted run goes on from there.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from stable_signer.body.motion import Motion, joined
from stable_signer.body.skeleton import Body
from stable_signer.end_to_end.redetection import looked_at, still
from stable_signer.end_to_end.rivals import SpokenToSigned, export_lexicon
from stable_signer.errors import StableSignerError
from stable_signer.media import posefile
from stable_signer.media.files import Outputs, read_bytes
from stable_signer.media.landmarks import check_mediapipe
from stable_signer.metrics import recognition as rec
from stable_signer.metrics.motion import describe, mean_pose
from stable_signer.metrics.text import bleu, text_scores
from stable_signer.pipeline import StableSigner
from stable_signer.slp_moe.compose import mirrored

MARGIN = 2  # frames on either side of a sign's stroke that the judge may see
SYSTEMS = ("ours", "ours-rules", "spoken-to-signed")
BROKEN = ("mirrored", "reversed", "frozen-face", "mean-pose")
DRAWS = 1000  # of the bootstrap


@dataclass(frozen=True)
class Sentence:
    """A text and the glosses that a reference has for it."""

    text: str
    glosses: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Signed:
    """What a system made of a sentence: its motion, and the frames (first, last excluded) of each gloss."""

    motion: Motion
    signs: tuple[tuple[str, int, int], ...]
    error: str = ""
    found: Mapping[str, float] = field(default_factory=dict)  # of `redetection.found`, where a video was read


@dataclass(frozen=True)
class Outcome:
    """What was read back. claimed: classes that the system says it signs; best: for each the five likeliest.

    measures: of `metrics.motion.describe`, with seconds, face_activity and left_led (share of signs).
    """

    claimed: tuple[str, ...]
    best: tuple[tuple[str, ...], ...]
    measures: dict[str, float]
    error: str = ""

    @property
    def read(self) -> str:
        """The likeliest class of each sign, as a line."""
        return " ".join(b[0] for b in self.best)


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


def sign_ours(texts: Sequence[str], planner: str) -> Iterator[Signed]:
    """Our own system with a planner, as `stable-signer sign` makes it; one text after the other."""
    engine = StableSigner.from_pretrained(planner)
    for text in texts:
        movement = engine.movement(engine.plan(text))
        motion = joined(movement.pieces())
        signs = tuple(
            (s.gloss, round(s.start * motion.fps), round(s.end * motion.fps))
            for s in movement.plan.signs
            if s.kind != "pause"
        )
        yield Signed(motion, signs)


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


def sign_seen(made: Iterable[Signed], python: Path) -> Iterator[Signed]:
    """What a system made as it is seen in its video; a failure stays one."""
    for one in made:
        if one.error:
            yield one
            continue
        motion, found = looked_at(one.motion, python)
        scale = motion.fps / one.motion.fps
        signs = tuple((g, round(a * scale), round(b * scale)) for g, a, b in one.signs)
        yield replace(one, motion=motion, signs=signs, found=found)


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
    parts, claimed, led = [], [], []
    for gloss, first, last in made.signs:
        if gloss not in names:
            continue
        window = seen[max(first - MARGIN, 0) : max(last + MARGIN, first + 4)]
        if len(window) < 2:
            continue
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
    return Outcome(tuple(claimed), best, measures, made.error)


def run_system(
    name: str,
    sentences: Sequence[Sentence],
    judge: rec.Recogniser,
    work: Path,
    make: Callable[[list[str]], Iterable[Signed]],
) -> list[Outcome]:
    """Outcomes of one system and of its breakages; those that `work` has already are not made again."""
    names = judge.lexicon_glosses()
    folder = work / name
    folder.mkdir(parents=True, exist_ok=True)
    mark = hashlib.sha256(
        repr([(c, h.weight.sum().item()) for c, _, h in judge.members]).encode()
    ).hexdigest()[:8]
    places = [folder / f"{hashlib.sha256(s.text.encode()).hexdigest()[:16]}-{mark}.json" for s in sentences]
    missing = [k for k, p in enumerate(places) if not p.exists()]
    for k, made in zip(missing, make([sentences[k].text for k in missing]) if missing else [], strict=True):
        with Outputs() as outputs:
            outcome = read_back(made, judge, names)
            outputs.claim(places[k]).write_text(json.dumps(asdict(outcome)), encoding="utf-8")
    return [_outcome(p) for p in places]


def _outcome(path: Path) -> Outcome:
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        best = tuple(tuple(b) for b in told["best"])
        return Outcome(tuple(told["claimed"]), best, told["measures"], told["error"])
    except (ValueError, KeyError, TypeError) as error:
        raise StableSignerError(f"the result {path} is damaged: delete it, and the run goes on") from error


def score(
    outcomes: Sequence[Outcome], sentences: Sequence[Sentence], names: Mapping[str, str]
) -> dict[str, float]:
    """A row: glosses read against the reference's (judge's vocabulary only), and what the motion is like.

    sign_top1, sign_top5: of the signs that the system says it makes, the share that the judge recognises.
    planned_*: the same text scores for what it says it signs, as if every sign were recognised.
    """
    wanted = [" ".join(names[g] for g in s.glosses if g in names) for s in sentences]
    out: dict[str, float] = dict(text_scores([o.read for o in outcomes], wanted))
    out |= {
        f"planned_{k}": v for k, v in text_scores([" ".join(o.claimed) for o in outcomes], wanted).items()
    }
    pairs = [(c, b) for o in outcomes for c, b in zip(o.claimed, o.best, strict=True)]
    out["signs"] = float(len(pairs))
    out["sign_top1"] = float(np.mean([c == b[0] for c, b in pairs])) if pairs else 0.0
    out["sign_top5"] = float(np.mean([c in b for c, b in pairs])) if pairs else 0.0
    out["failed"] = float(sum(bool(o.error) for o in outcomes))
    good = [o.measures for o in outcomes if not o.error]
    out |= {k: float(np.mean([m[k] for m in good])) for k in (good[0] if good else {})}
    return out


def gain(
    ours: Sequence[Outcome],
    rival: Sequence[Outcome],
    sentences: Sequence[Sentence],
    names: Mapping[str, str],
    seed: int = 0,
) -> dict[str, float]:
    """Relative gain in BLEU-4 (and BLEU-1) in percent, with the 95% interval of a paired bootstrap."""
    wanted = [" ".join(names[g] for g in s.glosses if g in names) for s in sentences]
    a, b = [o.read for o in ours], [o.read for o in rival]
    rng = np.random.default_rng(seed)
    draws: list[tuple[float, float]] = []
    for k in range(DRAWS + 1):
        rows = np.arange(len(wanted)) if k == 0 else rng.integers(0, len(wanted), len(wanted))
        ref = [wanted[i] for i in rows]
        x, y = bleu([a[i] for i in rows], ref), bleu([b[i] for i in rows], ref)
        draws.append((100 * (x[3] / max(y[3], 1e-9) - 1), 100 * (x[0] / max(y[0], 1e-9) - 1)))
    table = np.array(draws)
    low, high = np.percentile(table[1:], [2.5, 97.5], axis=0)
    return {
        "bleu4_gain": table[0, 0], "bleu4_low": low[0], "bleu4_high": high[0],
        "bleu1_gain": table[0, 1], "bleu1_low": low[1], "bleu1_high": high[1],
    }  # fmt: skip


def evaluate(
    sentences: Sequence[Sentence],
    systems: Sequence[str],
    work: Path,
    *,
    environment: Path | None = None,
    judge: rec.Recogniser | None = None,
    checks: bool = True,
    redetect: Path | None = None,
) -> dict[str, Any]:
    """All rows; redetect, the Python of MediaPipe's environment, adds a row "SYSTEM, from the video" to each.

    Raises StableSignerError for an unknown system or a missing environment, before any work.
    """
    unknown = [s for s in systems if s not in SYSTEMS]
    if unknown:
        raise StableSignerError(f"the system {unknown[0]!r} is unknown: use {', '.join(SYSTEMS)}")
    if "spoken-to-signed" in systems:
        if environment is None:
            raise StableSignerError("the rival needs its environment: name it with --environment")
        SpokenToSigned(environment)
    if redetect is not None:
        check_mediapipe(redetect)
    judge = judge or rec.Recogniser.load()
    names = judge.lexicon_glosses()
    if not any(g in names for s in sentences for g in s.glosses):
        raise StableSignerError(
            "the judge knows none of the references' glosses: see Recogniser.lexicon_glosses"
        )
    made: dict[tuple[str, str], Signed] = {}

    def maker(system: str) -> Callable[[list[str]], Iterable[Signed]]:
        def make(texts: list[str]) -> Iterable[Signed]:
            """One after the other, so that what is read back is kept before the next is made."""
            new = list(dict.fromkeys(t for t in texts if (system, t) not in made))
            signed: Iterator[Signed] = iter(())
            if new and system == "spoken-to-signed":
                assert environment is not None
                signed = sign_rival(new, environment, work)
            elif new:
                signed = sign_ours(new, "rules" if system == "ours-rules" else "slul")
            for text in texts:
                if (system, text) not in made:
                    made[system, text] = next(signed)
                yield made[system, text]

        return make

    outcomes = {s: run_system(s, sentences, judge, work, maker(s)) for s in systems}
    rows = {s: score(o, sentences, names) for s, o in outcomes.items()}
    first = systems[0]
    turned = [*outcomes[first][1:], *outcomes[first][:1]]
    rows[f"{first}, shuffled"] = score(turned, sentences, names)
    for how in BROKEN if checks else ():
        name = f"{first}, {how}"

        def spoil(texts: list[str], how: str = how) -> Iterable[Signed]:
            return (broken(m, how) for m in maker(first)(texts))

        rows[name] = score(
            run_system(name.replace(", ", "-"), sentences, judge, work, spoil), sentences, names
        )
    seen: dict[str, list[Outcome]] = {}
    for system in systems if redetect else ():
        assert redetect is not None

        def look(texts: list[str], system: str = system, python: Path = redetect) -> Iterable[Signed]:
            return sign_seen(maker(system)(texts), python)

        seen[system] = run_system(f"{system}-video", sentences, judge, work, look)
        rows[f"{system}, from the video"] = score(seen[system], sentences, names)
    report: dict[str, Any] = {"sentences": len(sentences), "rows": rows}
    if "spoken-to-signed" in systems and first != "spoken-to-signed":
        report["gain"] = gain(outcomes[first], outcomes["spoken-to-signed"], sentences, names)
        if seen:
            report["gain_from_video"] = gain(seen[first], seen["spoken-to-signed"], sentences, names)
    return report
