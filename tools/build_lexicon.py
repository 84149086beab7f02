"""Build weights/lexicon.safetensors: fit the body to the landmarks of every clip that glosses.csv refers to.

    python tools/build_lexicon.py --data DIR [--only NAME ...] [--cache runs/lexicon]

DIR holds `wlasl_holistic.npz`, `wlasl_holistic_index.csv` and `studiogalt_holistic.npz`. What is written is
derived motion: joint angles at 25 fps, quantised (see slp_moe/lexicon.py for the format), never landmarks.
About 65,000 frames are fitted at about 500 frames a second on one core. Fits are cached by clip, so that only
the last steps run again when nothing in body/fit.py has changed (the cache key is the text of that file).
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from stable_signer.body import fit
from stable_signer.body.fit import Fitter, Landmarks, Targets, default_fitter
from stable_signer.body.ik import FINGER_JOINTS
from stable_signer.body.keypoints import RigidPoints
from stable_signer.body.skeleton import forward_kinematics
from stable_signer.corpora.landmarks import MARGIN, one_or_two, right_dominant
from stable_signer.errors import StableSignerError
from stable_signer.slp_moe import lexicon as lx
from stable_signer.slp_moe import phonology as lex
from stable_signer.slp_moe.handshapes import handshape, table
from stable_signer.slp_moe.phonology import shape_name

GLOSSES = Path(lx.__file__).parents[1] / "weights" / "glosses.csv"
LONGEST = 0.92  # seconds: longer strokes are dictionary-slow and are sped up, at most by QUICKEST
QUICKEST = 2.0
LAP = 0.36  # metres: height of a wrist below which it is on its way from or to the lap
STILL = 0.06  # m/s: slower is a hold
SHORTEST = 10  # frames that are kept of a sign that hardly moves
LONGEST_HOLD = 3  # frames of stillness kept at either end
ERROR_BAR, TRACKED_BAR = 0.25, 0.70  # palm lengths; share of frames
# Seen to be another sign, a poor take or poor tracking when looked at beside the filmed frames
# (docs/lexicon.md).
DOUBTED: tuple[str, ...] = ("table", "bored", "stop", "best", "straight", "watch")


@dataclass
class Fit:
    """One clip's stroke, fitted."""

    name: str
    dofs: np.ndarray  # (T, 2, 30)
    head: np.ndarray  # (T, 3)
    face: np.ndarray  # (T, 52)
    two_handed: bool
    error: float
    tracked: float
    mirrored: bool
    stroke: tuple[int, int]  # frames at 25 fps of the clip


@dataclass(frozen=True)
class Phonology:
    """What ASL-LEX 2.0 says: where a sign touches ('head', 'body', '' nowhere) and both hands' shapes."""

    touches: str
    right: str
    left: str
    changes: bool

    def handshapes(self, fitter: Fitter) -> tuple[fit.Handshape, fit.Handshape]:
        """For the right and the left hand; None where the shape is not in our table."""
        shapes = [
            fit.KnownHandshape(fingers(fitter, name), self.changes) if name in table() else None
            for name in (self.right, self.left)
        ]
        return shapes[0], shapes[1]


@lru_cache(maxsize=200)
def fingers(fitter: Fitter, name: str) -> np.ndarray:
    """A handshape of the table as the degrees of freedom that are fitted."""
    body = fitter.body
    rotations = torch.eye(3).expand(1, len(body.joints), 3, 3).clone()
    for joint, turn in zip(FINGER_JOINTS, handshape(name)):
        rotations[0, body.index[f"{joint}.R"]] = torch.from_numpy(np.array(turn)).float()
    turns, joints = forward_kinematics(body, fitter.rest, rotations, torch.zeros(1, 3))
    return fit.fingers_of(fitter, RigidPoints(body, fitter.rest).hand(turns, joints, "R")[0].numpy())


@lru_cache(maxsize=1)
def phonology(data: Path) -> dict[str, Phonology]:
    """By clip, for those whose gloss is described in ASL-LEX 2.0."""
    source = data.parent / "lexicons" / "asl_lex_signdata-2020-10-28.csv"
    with source.open(encoding="utf-8-sig") as file:
        described = {row["EntryID"]: row for row in csv.DictReader(file)}
    out = {}
    with GLOSSES.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            sign = described.get(row["phonology"])
            if not sign or not row["clip"]:
                continue
            place = {"Head": "head", "Body": "body"}.get(sign["MajorLocation.2.0"], "")
            right, left = sign["Handshape.2.0"], sign["NonDominantHandshape.2.0"]
            out[row["clip"]] = Phonology(
                touches=place if sign["Contact.2.0"] == "1" else "",
                right=right,
                left=right if left == "DominanceViolation" else left,
                changes=sign["FlexionChange.2.0"] != "0" or sign["SpreadChange.2.0"] == "1",
            )
    return out


def fit_clips(data: Path, clips: Iterable[str], fitter: Fitter) -> list[Fit]:
    """Fit the strokes of many clips together; clips without a signer are reported and left out."""
    names: list[str] = []
    whole: list[Targets] = []
    strokes: list[slice] = []
    mirrored: list[bool] = []
    for clip in clips:
        try:
            _, targets, flip = right_dominant(data, clip, fitter)
        except StableSignerError as error:
            print(f"left out {clip}: {error}", file=sys.stderr)
            continue
        known = phonology(data).get(clip)
        targets.touches = known.touches if known else None
        targets.handshapes = known.handshapes(fitter) if known else (None, None)
        names.append(clip)
        whole.append(targets)
        strokes.append(fit.stroke(targets))
        mirrored.append(flip)
    cuts = [slice(max(s.start - MARGIN, 0), min(s.stop + MARGIN, len(t))) for t, s in zip(whole, strokes)]
    results = fit.fit_many(fitter, [one_or_two(t.cut(c)) for t, c in zip(whole, cuts)])
    out = []
    for name, s, c, r, flip in zip(names, strokes, cuts, results, mirrored):
        inner = slice(s.start - c.start, s.stop - c.start)
        active = r.raised.any(0)
        errors = r.side_errors[inner][:, active]
        found = r.tracked[inner][:, active]
        out.append(
            Fit(
                name=name,
                dofs=r.dofs[inner],
                head=r.head[inner],
                face=r.face[inner],
                two_handed=bool(active.all()),
                error=float(np.nanmedian(errors)) if np.isfinite(errors).any() else 9.0,
                tracked=float(found.mean()) if found.size else 0.0,
                mirrored=flip,
                stroke=(s.start, s.stop),
            )
        )
    return out


def stroke_landmarks(data: Path, clip: str) -> Landmarks:
    """The landmarks of a clip's stroke at 25 fps, mirrored if its fit is."""
    marks, targets, _ = right_dominant(data, clip, default_fitter())
    return marks.resampled()[fit.stroke(targets)]


def retime(one: Fit, fitter: Fitter) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Citation pace: short holds at the ends, long holds inside shortened, slow signs sped up."""
    one = _without_lap(one, fitter)
    speed = wrist_speed(one.dofs, fitter, one.two_handed)
    turn = np.zeros(1)
    if len(one.dofs) > 1:
        turn = np.linalg.norm(np.gradient(one.dofs, axis=0), axis=2).max(1) * 25  # rad/s, all joints together
    still = (speed < STILL) & (turn < 1.6)
    keep = np.ones(len(still), dtype=bool)
    run = 0
    for t in range(len(still)):
        run = run + 1 if still[t] else 0
        keep[t] = run <= (LONGEST_HOLD if run == t + 1 else 5)
    trailing = 0
    while trailing < len(still) and still[len(still) - 1 - trailing]:
        trailing += 1
    if trailing > LONGEST_HOLD:
        keep[len(still) - trailing + LONGEST_HOLD :] = False
    rows = np.flatnonzero(keep)
    if len(rows) < SHORTEST:  # held, or moved so little that it looks held: keep where it moves most
        motion = np.convolve(speed, np.ones(SHORTEST), "valid") if len(speed) > SHORTEST else np.zeros(1)
        first = int(motion.argmax())
        rows = np.arange(first, min(first + SHORTEST, len(keep)))
    length = len(rows) / 25
    pace = float(np.clip(length / LONGEST, 1.0, QUICKEST))
    count = max(2, round(len(rows) / pace))
    at = np.linspace(0, len(rows) - 1, count)

    def sample(track: np.ndarray) -> np.ndarray:
        low = np.floor(at).astype(int)
        high = np.minimum(low + 1, len(rows) - 1)
        part = (at - low).reshape(-1, *[1] * (track.ndim - 1))
        picked = track[rows]
        mixed = picked[low] * (1 - part) + picked[high] * part
        if len(mixed) < 4:
            return np.asarray(mixed)
        flat = mixed.reshape(len(mixed), -1)
        return np.asarray(fit.smooth_rows(flat, np.ones(len(flat)), 0.15).reshape(mixed.shape))

    return sample(one.dofs), sample(one.head), sample(one.face)


def _without_lap(one: Fit, fitter: Fitter) -> Fit:
    """Cut off what is left of arrival and return: ends where the hand is at the lap and signs much higher."""
    points, _, _, _ = fitter.limb.pose(torch.from_numpy(one.dofs[:, 0]).float())
    height = points[:, 2, 2].numpy()
    low = (height < LAP) & (height < np.median(height) - 0.1)
    most = len(low) // 3
    first = int(np.argmin(low[:most])) if low[0] and not low[:most].all() else 0
    last = int(np.argmin(low[::-1][:most])) if low[-1] and not low[::-1][:most].all() else 0
    rows = slice(first, len(low) - last)
    return replace(one, dofs=one.dofs[rows], head=one.head[rows], face=one.face[rows])


def wrist_speed(dofs: np.ndarray, fitter: Fitter, two_handed: bool) -> np.ndarray:
    """(T,) m/s of the faster wrist."""
    speeds = []
    for s in range(2 if two_handed else 1):
        points, _, _, _ = fitter.limb.pose(torch.from_numpy(dofs[:, s]).float())
        wrist = points[:, 2].numpy()
        speeds.append(
            np.linalg.norm(np.gradient(wrist, axis=0), axis=1) * 25 if len(wrist) > 1 else np.zeros(1)
        )
    return np.asarray(np.max(speeds, axis=0))


# Fingers that disagree with the phonology are brought to its handshape (`repair`). Distances: mean angles,
# radians over the bends, spreads and the thumb at half weight.
BENDS = np.array([0.5] * 5 + [0.5, 1.0, 1.0, 0.6] * 4)
AGREES = 0.09  # nearer than this a hand has its handshape already
TOO_FAR = 0.60  # farther than this the clip shows another variant of the sign: left alone
OTHERWISE = (0.35, 0.55)  # so too if over 0.35, and another handshape is nearer than 0.55 of it
OWN = 0.15  # share of the take's own fingers that is left


def distance(hand: np.ndarray, shape: np.ndarray) -> float:
    """Median over frames of how far a hand (T, 21) is from a handshape (21,), radians."""
    return float(np.median((np.abs(hand - shape) * BENDS).sum(1)) / BENDS.sum())


def repair(entry: lx.Entry, known: Phonology, fitter: Fitter) -> tuple[lx.Entry, str]:
    """The entry with its fingers brought to the handshape that ASL-LEX names; the arms stay the clip's.

    Which hands were changed ('right', 'both', '') or 'variant' where the clip clearly shows another
    handshape: a right hand of another variant is better than a wrong one. A sign that changes its handshape
    is brought to the first one at its beginning only.
    """
    name = shape_name(known.right)
    if not known.right or name not in table():
        return entry, ""
    wanted, count = fingers(fitter, name), len(entry.dofs)
    share = np.full(count, 1 - OWN)
    if known.changes:
        share = (1 - OWN) * np.clip(1.5 - 3 * np.linspace(0, 1, count), 0, 1)
    looked = share > 0.5 * share.max()
    looked &= np.abs(np.linspace(-1, 1, count)) <= 0.6 if not known.changes else True
    looked[0] |= not looked.any()
    dofs = entry.dofs.copy()
    changed = []
    for side in range(1 + (entry.two_handed and known.left == known.right)):
        hand = dofs[:, side, lx.ARM :]
        away = distance(hand[looked], wanted)
        others = [fingers(fitter, shape_name(c)) for c in library()]
        nearest = min(distance(hand[looked], o) for o in others)
        if away < AGREES:
            continue
        if away > TOO_FAR or (away > OTHERWISE[0] and nearest < OTHERWISE[1] * away):
            if side == 0:
                return entry, "variant"
            continue
        dofs[:, side, lx.ARM :] = hand + share[:, None] * (wanted - hand)
        changed.append(side)
    if not changed:
        return entry, ""
    return replace(entry, dofs=dofs), "both" if len(changed) == 2 else "right" if changed == [0] else "left"


@lru_cache(maxsize=1)
def library() -> tuple[str, ...]:
    """Every handshape that ASL-LEX names."""
    return tuple(
        sorted({row.handshape for row in lex.phonology().values() if shape_name(row.handshape) in table()})
    )


def stored(path: Path, fitter: Fitter) -> list[lx.Entry]:
    """The entries of a lexicon file as they are, for steps that need no new fit."""
    t, clips = lx.read(path)
    out, start, left = [], 0, 0
    for i, clip in enumerate(clips):
        two, frames = bool(t["two_handed"][i]), int(t["frames"][i])
        dofs, head, face = lx.angles(t, i, start, left, fitter)
        facts = bool(t["approximate"][i]), float(t["error"][i]), float(t["tracked"][i])
        out.append(lx.Entry(clip, dofs, head, face, two, *facts))
        start += frames
        left += frames if two else 0
    return out


def repair_stored(data: Path, source: Path, out: Path, report_at: Path | None, fitter: Fitter) -> None:
    """Repair a file made without the repair, and mark in the list of signs what was changed."""
    marks, entries = {}, []
    for entry in stored(source, fitter):
        known = phonology(data).get(entry.clip)
        mended, mark = repair(entry, known, fitter) if known else (entry, "")
        entries.append(mended)
        marks[entry.clip] = mark
    lx.write(out, entries, fitter.limb)
    if report_at:
        with report_at.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        part = report_at.with_suffix(".part")
        with part.open("w", encoding="utf-8", newline="") as file:
            names = [n for n in rows[0] if n != "repaired"] + ["repaired"]
            table_out = csv.DictWriter(file, names, lineterminator="\n")
            table_out.writeheader()
            table_out.writerows({**row, "repaired": marks.get(row["clip"], "")} for row in rows)
        part.replace(report_at)
    print({m: list(marks.values()).count(m) for m in sorted(set(marks.values()))})


def wanted_clips() -> list[str]:
    """The clips that glosses.csv names, each once, in its order."""
    with GLOSSES.open(encoding="utf-8") as file:
        clips = [row["clip"] for row in csv.DictReader(file) if row["clip"]]
    return list(dict.fromkeys(clips))


def load_fits(data: Path, cache: Path, clips: Sequence[str], fitter: Fitter) -> list[Fit]:
    """The fits of clips, in order; those not in the cache yet are made in batches and kept there."""
    key = hashlib.sha256(Path(fit.__file__).read_bytes()).hexdigest()[:12]
    cache.mkdir(parents=True, exist_ok=True)
    known = {one.name: one for file in sorted(cache.glob(f"{key}-*.npz")) for one in _read(file)}
    missing = [clip for clip in clips if clip not in known]
    size = 120
    for b in range(0, len(missing), size):
        batch = missing[b : b + size]
        began = time.perf_counter()
        fits = fit_clips(data, batch, fitter)
        mark = hashlib.sha256("\n".join(batch).encode()).hexdigest()[:10]
        if fits:
            _write(cache / f"{key}-{mark}.npz", fits)
        known |= {one.name: one for one in fits}
        seconds = time.perf_counter() - began
        frames = sum(len(f.dofs) for f in fits)
        print(f"{b + len(batch)}/{len(missing)} clips, {frames} frames in {seconds:.1f} s", flush=True)
    return [known[clip] for clip in clips if clip in known]


def _write(file: Path, fits: list[Fit]) -> None:
    facts = [[f.name, f.two_handed, f.error, f.tracked, f.mirrored, *f.stroke, len(f.dofs)] for f in fits]
    part = file.with_name(f"part-{file.name}")
    np.savez(
        part,
        facts=np.array(json.dumps(facts)),
        dofs=np.concatenate([f.dofs for f in fits]).astype(np.float32),
        head=np.concatenate([f.head for f in fits]),
        face=np.concatenate([f.face for f in fits]),
    )
    part.rename(file)


def _read(file: Path) -> list[Fit]:
    out, at = [], 0
    with np.load(file, allow_pickle=False) as store:
        dofs, head, face = store["dofs"], store["head"], store["face"]
        for name, two, error, tracked, mirrored, a, b, length in json.loads(str(store["facts"])):
            rows = slice(at, at + length)
            out.append(Fit(name, dofs[rows], head[rows], face[rows], two, error, tracked, mirrored, (a, b)))
            at += length
    return out


def main(arguments: Sequence[str] | None = None) -> int:
    """Fit, judge and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, default=Path("runs/lexicon"))
    parser.add_argument("--only", nargs="*", default=None, help="clip names, for trying out")
    parser.add_argument("--out", type=Path, default=GLOSSES.with_name("lexicon.safetensors"))
    parser.add_argument("--report", type=Path, default=None, help="also list every sign's quality, CSV")
    parser.add_argument("--repair", type=Path, default=None, help="only repair the handshapes of this file")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    fitter = default_fitter()
    if options.repair:
        repair_stored(options.data, options.repair, options.out, options.report, fitter)
        return 0
    fits = load_fits(options.data, options.cache, options.only or wanted_clips(), fitter)
    entries = []
    for one in fits:
        dofs, head, face = retime(one, fitter)
        entry = lx.Entry(one.name, dofs, head, face, one.two_handed, bool(doubt(one)), one.error, one.tracked)
        known = phonology(options.data).get(one.name)
        entries.append(repair(entry, known, fitter)[0] if known else entry)
    lx.write(options.out, entries, fitter.limb)
    if options.report:
        list_signs(fits, entries, options.report)
    report(entries, options.out)
    return 0


def doubt(one: Fit) -> str:
    """Why a sign is approximate; empty if it is not."""
    if one.error > ERROR_BAR:
        return "error"
    if one.tracked < TRACKED_BAR:
        return "tracking"
    return "looked at" if one.name in DOUBTED else ""


def list_signs(fits: Sequence[Fit], entries: Sequence[lx.Entry], path: Path) -> None:
    """One line a clip: how long, how well fitted, and why it is approximate if it is."""
    part = path.with_suffix(".part")
    with part.open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["clip", "seconds", "hands", "error_palms", "tracked", "mirrored", "approximate"])
        for one, entry in zip(fits, entries):
            out.writerow(
                [
                    one.name,
                    f"{len(entry.dofs) / 25:.2f}",
                    1 + one.two_handed,
                    f"{one.error:.3f}",
                    f"{one.tracked:.2f}",
                    int(one.mirrored),
                    doubt(one),
                ]
            )
    part.replace(path)


def report(entries: list[lx.Entry], out: Path) -> None:
    """Figures of the whole set."""
    error = np.array([e.error for e in entries])
    tracked = np.array([e.tracked for e in entries])
    seconds = np.array([len(e.dofs) / 25 for e in entries])
    frames = sum(len(e.dofs) for e in entries)
    print(f"{len(entries)} clips, {frames} frames, {out.stat().st_size / 1e6:.2f} MB")
    print("error, palms: percentiles 5 50 95", np.percentile(error, [5, 50, 95]).round(3))
    print("tracked: percentiles 5 50 95", np.percentile(tracked, [5, 50, 95]).round(3))
    print("seconds: percentiles 5 50 95", np.percentile(seconds, [5, 50, 95]).round(3))
    print("two-handed", sum(e.two_handed for e in entries))
    print("approximate", sum(e.approximate for e in entries))


if __name__ == "__main__":
    sys.exit(main())
