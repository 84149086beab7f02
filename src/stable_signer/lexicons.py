"""A lexicon of one's own: a folder of signs, laid over the one that ships, or a new language by itself.

The folder holds `lexicon.json` (version, language, name, licence), `signs.csv` (one line a sign: COLUMNS) and
`signs/GLOSS.safetensors` (the motion: rotations, face, root at 25 fps; never the landmarks, never the video).
"""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from stable_signer.body.fit import Landmarks, default_fitter, fit_many, stroke
from stable_signer.body.motion import FPS, Motion
from stable_signer.body.skeleton import Body
from stable_signer.errors import StableSignerError
from stable_signer.media import posefile
from stable_signer.media.files import Outputs, check_ending, read_bytes
from stable_signer.media.landmarks import CLIPS, clip_landmarks
from stable_signer.pipeline import StableSigner, shipped_stages
from stable_signer.pose2vid.signers import SIGNERS
from stable_signer.slp_moe import priors
from stable_signer.slp_moe.clearance import keep_clear, keep_in_view
from stable_signer.slp_moe.hamnosys_sign import sign_from_hamnosys
from stable_signer.slp_moe.lexicon import Lexicon, Prototype, calm
from stable_signer.slp_moe.limbs import LIMBS, rest_quaternions
from stable_signer.slul.edit import sign_of, spelled
from stable_signer.slul.glosses import Entry, Glossary
from stable_signer.slul.plan import LANGUAGES, Draft, Sign

VERSION = 1
COLUMNS = ("gloss", "words", "two_handed", "approximate", "error", "tracked", "licence", "note")
INDEX_COLUMNS = ("path", "spoken_language", "signed_language", "start", "end", "words", "glosses", "priority")
GLOSS = re.compile(r"[A-Z0-9]+(?:-[A-Z0-9]+)*")
LANGUAGE = re.compile(r"[a-z]{3}")
ERROR_BAR, TRACKED_BAR = 0.25, 0.70  # palm lengths; share of frames: worse is marked approximate
AWAY = 0.35  # radians from rest at which an arm counts as signing
LONGEST = 10.0  # seconds


@dataclass(frozen=True)
class OwnSign:
    """One line of `signs.csv`. words: lower case, what it means; error in palm lengths, tracked a share."""

    gloss: str
    words: tuple[str, ...] = ()
    two_handed: bool = False
    approximate: bool = False
    error: float = 0.0
    tracked: float = 1.0
    licence: str = ""
    note: str = ""

    @property
    def entry(self) -> Entry:
        """The sign as the glossary knows it."""
        return Entry(self.gloss, "lexical", words=self.words, clip=f"own:{self.gloss}",
                     approximate=self.approximate, note=self.note)  # fmt: skip


class OwnLexicon:
    """A lexicon folder. Raises StableSignerError, naming the place, when something in it is broken."""

    def __init__(
        self, folder: Path, language: str, name: str, licence: str, signs: dict[str, OwnSign]
    ) -> None:
        self.folder, self.language, self.name, self.licence = folder, language, name, licence
        self.signs = signs

    @classmethod
    def load(cls, folder: str | Path) -> OwnLexicon:
        """Read the folder's lists; motions are read when they are needed."""
        place = Path(folder)
        try:
            told = json.loads(read_bytes(place / "lexicon.json", "the lexicon"))
            fields = {k: told[k] for k in ("language", "name", "licence")}
            known = told["version"] == VERSION and all(isinstance(v, str) for v in fields.values())
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise StableSignerError(
                f"{place / 'lexicon.json'} is damaged: it needs language, name and licence"
            ) from error
        if not known or not LANGUAGE.fullmatch(fields["language"]):
            raise StableSignerError(
                f"{place / 'lexicon.json'} has another version or a language that is no ISO "
                "639-3 code of three letters: mend it"
            )
        raw = read_bytes(place / "signs.csv", "the list of signs")
        LANGUAGES.setdefault(
            fields["language"], fields["name"]
        )  # from here on it is a language like any other
        return cls(place, **fields, signs={s.gloss: s for s in _rows(raw, place / "signs.csv")})

    @classmethod
    def create(cls, folder: str | Path, language: str, name: str, licence: str) -> OwnLexicon:
        """A new, empty lexicon in a folder that does not exist yet or is empty."""
        place = Path(folder)
        if not LANGUAGE.fullmatch(language):
            raise StableSignerError(
                f"the language {language!r} is no ISO 639-3 code: use three small letters"
            )
        if place.exists() and (not place.is_dir() or any(place.iterdir())):
            raise StableSignerError(f"{place} is there already and is no lexicon: name a new folder")
        (place / "signs").mkdir(parents=True, exist_ok=True)
        made = cls(place, language, name or LANGUAGES.get(language, language), licence, {})
        made.save()
        return made

    def save(self) -> None:
        """Write the two lists, both or none."""
        told = {"version": VERSION, "language": self.language, "name": self.name, "licence": self.licence}
        table = io.StringIO()
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(COLUMNS)
        for sign in sorted(self.signs.values(), key=lambda s: s.gloss):
            row = asdict(sign) | {
                "words": "|".join(sign.words),
                "two_handed": int(sign.two_handed),
                "approximate": int(sign.approximate),
            }
            writer.writerow([row[c] for c in COLUMNS])
        with Outputs() as outputs:
            outputs.claim(self.folder / "lexicon.json").write_text(
                json.dumps(told, indent=2), encoding="utf-8"
            )
            outputs.claim(self.folder / "signs.csv").write_text(table.getvalue(), encoding="utf-8")

    def add(self, sign: OwnSign, motion: Motion, *, overwrite: bool = False) -> None:
        """Keep a sign. Raises StableSignerError when its gloss is taken and `overwrite` is not set."""
        if sign.gloss in self.signs and not overwrite:
            raise StableSignerError(
                f"the lexicon has {sign.gloss} already: write over it, or name it otherwise"
            )
        from safetensors.numpy import save_file

        with Outputs() as outputs:
            part = outputs.claim(self._file(sign.gloss))
            tensors = {k: np.ascontiguousarray(getattr(motion, k)) for k in ("rotations", "face", "root")}
            save_file(tensors, str(part), metadata={"gloss": sign.gloss, "fps": f"{motion.fps:g}"})
        self.signs[sign.gloss] = sign
        self.save()

    def prototype(self, gloss: str) -> Prototype:
        """The motion of one of its glosses."""
        sign = self.signs[gloss]
        return Prototype(
            gloss,
            self.motion(gloss),
            sign.two_handed,
            sign.approximate,
            sign.error,
            sign.tracked,
            clip=f"own:{gloss}",
        )

    def motion(self, gloss: str) -> Motion:
        """The stored motion."""
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        path = self._file(gloss)
        try:
            tensors = load_file(str(path))
            made = Motion(tensors["rotations"], tensors["face"], tensors["root"], FPS)
        except (OSError, SafetensorError, KeyError) as error:
            raise StableSignerError(f"the sign {path} cannot be read ({error}): add {gloss} anew") from error
        joints = len(Body.load().joints)
        if made.rotations.shape[1] != joints:
            raise StableSignerError(f"the sign {path} is of another skeleton: add {gloss} anew")
        return made

    def _file(self, gloss: str) -> Path:
        return self.folder / "signs" / f"{gloss}.safetensors"


def _rows(raw: bytes, place: Path) -> Iterator[OwnSign]:
    try:
        reader = csv.DictReader(io.StringIO(raw.decode("utf-8")))
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise StableSignerError(f"{place} must have the columns {', '.join(COLUMNS)}")
        for row in reader:
            if not GLOSS.fullmatch(row["gloss"]):
                raise StableSignerError(f"line {reader.line_num} of {place}: {row['gloss']!r} is no gloss")
            words = tuple(filter(None, row["words"].split("|")))
            yield OwnSign(
                row["gloss"],
                words,
                two_handed=row["two_handed"] == "1",
                approximate=row["approximate"] == "1",
                error=float(row["error"]),
                tracked=float(row["tracked"]),
                licence=row["licence"],
                note=row["note"],
            )
    except (UnicodeDecodeError, ValueError, TypeError, AttributeError, csv.Error) as error:
        raise StableSignerError(f"{place} is damaged ({error}): mend it, or make the lexicon anew") from error


# --- a take becomes a sign ---


def check_gloss(gloss: str) -> str:
    """A gloss in its usual form: upper case, hyphens for spaces."""
    plain = "-".join(gloss.upper().split())
    if not GLOSS.fullmatch(plain) or len(plain) > 60:
        raise StableSignerError(f"{gloss!r} is no gloss: use letters, digits and hyphens, such as THANK-YOU")
    return plain


def sign_from_take(
    path: str | Path, gloss: str, words: tuple[str, ...] = (), **more: Any
) -> tuple[OwnSign, Motion]:
    """The sign in a take: `sign_from_pose` for a `.pose`, `sign_from_clip` for a video."""
    if check_ending(path, (".pose", *CLIPS)) == ".pose":
        return sign_from_pose(path, gloss, words, **more)
    return sign_from_clip(path, gloss, words, **more)


def sign_from_clip(
    path: str | Path, gloss: str, words: tuple[str, ...] = (), **more: Any
) -> tuple[OwnSign, Motion]:
    """The stroke of the one sign that a person makes in a video, fitted to our body, and how well that went.

    MediaPipe looks at the video in an environment of its own, see `media.landmarks`; without it
    StableSignerError says how to make it. Only the movement is kept.
    """
    name = check_gloss(gloss)
    return _short(path, *_fitted(clip_landmarks(path), name, words, more))


def sign_from_pose(
    path: str | Path, gloss: str, words: tuple[str, ...] = (), **more: Any
) -> tuple[OwnSign, Motion]:
    """The stroke of the one sign in a `.pose`, fitted to our body, and how well that went.

    A left-dominant take is mirrored. Raises StableSignerError for a file without a person or hands.
    """
    check_ending(path, (".pose",))
    name = check_gloss(gloss)
    body = Body.load()
    pose = posefile._parse(read_bytes(path, "the pose"), path)
    if any(c.name == posefile.MOTION_COMPONENT for c in pose.header.components):
        motion = _trimmed(posefile.read_pose(path, body))
        sign = OwnSign(name, words, two_handed=_left_moves(motion), **more)
    else:
        sign, motion = _fitted(posefile._landmarks(pose, path), name, words, more)
    return _short(path, sign, motion)


def sign_from_notation(
    text: str, gloss: str, words: tuple[str, ...] = (), **more: Any
) -> tuple[OwnSign, Motion]:
    """The sign that a HamNoSys 4 notation describes; always approximate, what was simplified is in its note.

    Nobody was filmed: form and timing are rules' (`slp_moe.hamnosys_sign`); hands are kept out of the body
    and of each other. Raises StableSignerError for a notation that cannot be read.
    """
    name = check_gloss(gloss)
    reading = sign_from_hamnosys(name, text)
    built = priors.realise(reading.sign, "notation")
    left_out = ", ".join(reading.simplified)
    note = "from HamNoSys" + (f", without {left_out}" if left_out else "")
    sign = OwnSign(name, words, built.left, approximate=True, note=note, **more)
    face, root = (np.zeros((len(built.rotations), n), np.float32) for n in (52, 3))
    calmed = calm(Motion(built.rotations, face, root, FPS))
    return sign, Motion.of_quaternions(keep_clear(keep_in_view(calmed.quaternions)), face)


def _short(path: str | Path, sign: OwnSign, motion: Motion) -> tuple[OwnSign, Motion]:
    if motion.duration > LONGEST:
        raise StableSignerError(f"the sign in {path} lasts {motion.duration:.0f} s: cut it to one sign")
    return sign, motion


def _fitted(
    marks: Landmarks, gloss: str, words: tuple[str, ...], more: dict[str, Any]
) -> tuple[OwnSign, Motion]:
    fitter = default_fitter()
    targets = fitter.prepare(marks)
    shown = [float((side.raised & side.found).sum()) for side in targets.sides]
    if shown[1] > 1.5 * shown[0]:
        targets = fitter.prepare(marks.mirrored())
    within = targets.cut(stroke(targets))
    left = within.sides[1]
    two = bool(left.raised.mean() >= 0.5 and (left.found & left.raised).mean() >= 0.3)
    if not two:
        left.raised[:] = False  # it only passes through
    result = fit_many(fitter, [within])[0]
    hands = slice(0, 2 if two else 1)
    errors = result.side_errors[:, hands]
    error = float(np.nanmedian(errors)) if np.isfinite(errors).any() else 9.0
    tracked = float(result.tracked[:, hands].mean())
    rough = more.pop("approximate", False) or error > ERROR_BAR or tracked < TRACKED_BAR
    sign = OwnSign(gloss, words, two, rough, round(error, 3), round(tracked, 3), **more)
    return sign, result.motion


def _trimmed(motion: Motion) -> Motion:
    """Without the frames in which both arms rest, at 25 fps."""
    if abs(motion.fps - FPS) > 1e-3:
        raise StableSignerError(f"the pose has {motion.fps:g} frames a second: make it with --fps {FPS:g}")
    away = np.maximum(_away(motion, "right"), _away(motion, "left")) > AWAY
    if not away.any():
        raise StableSignerError("nothing is signed in the pose: the arms rest in every frame")
    first, last = int(away.argmax()), len(away) - int(away[::-1].argmax())
    return motion[first : max(last, first + 2)]


def _left_moves(motion: Motion) -> bool:
    return bool((_away(motion, "left") > AWAY).mean() >= 0.5)


def _away(motion: Motion, limb: str) -> np.ndarray:
    """(T,) largest angle of an arm's joints from rest, radians."""
    joints = list(LIMBS[limb])
    q = motion.quaternions[:, joints]
    return np.asarray(2 * np.arccos(np.clip(np.abs((q * rest_quaternions()[joints]).sum(-1)), 0, 1)).max(1))


# --- the index.csv of other tools ---


def read_index(path: str | Path, language: str) -> Iterator[tuple[Path, str, tuple[str, ...]]]:
    """(pose file, gloss, words) for each sign of an `index.csv` (spoken-to-signed's form) in `language`.

    A sign with several words has a line for each of them, or one line with `|` or `;` between.
    Raises StableSignerError, naming the line, for a path that leaves the folder of the index.
    """
    place = Path(path)
    try:
        reader = csv.DictReader(io.StringIO(read_bytes(place, "the index").decode("utf-8-sig")))
        missing = {"path", "signed_language", "words", "glosses"} - set(reader.fieldnames or ())
        if missing:
            raise StableSignerError(f"{place} lacks the columns {', '.join(sorted(missing))}")
        root = place.parent.resolve()
        signs: dict[tuple[Path, str], dict[str, None]] = {}  # words in their order, each once
        for row in reader:
            if row["signed_language"] != language:
                continue
            file = (root / (row["path"] or "")).resolve()
            if root not in file.parents:
                raise StableSignerError(f"line {reader.line_num} of {place} leads out of its folder: mend it")
            words = _words(row["words"])
            name = (row["glosses"] or "").strip() or (words[0] if words else "")
            signs.setdefault((file, _gloss_of(name, place, reader.line_num)), {}).update(dict.fromkeys(words))
    except (UnicodeDecodeError, csv.Error) as error:
        raise StableSignerError(f"{place} cannot be read ({error}): save it as UTF-8") from error
    yield from ((file, gloss, tuple(words)) for (file, gloss), words in signs.items())


def lists_notations(path: str | Path) -> bool:
    """Whether a list of signs is of HamNoSys notations: a `.sigml`, or a `.csv` with a column hamnosys."""
    if check_ending(path, (".csv", ".sigml")) == ".sigml":
        return True
    head = read_bytes(Path(path), "the list of signs").split(b"\n", 1)[0].decode("utf-8-sig", "replace")
    return "hamnosys" in [name.strip().strip('"') for name in head.split(",")]


def read_notations(path: str | Path) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """(HamNoSys, gloss, words) for each sign of a list of notations.

    path: a `.csv` with the columns gloss, words and hamnosys (several words parted by `|` or `;`), or a
    `.sigml` whose `hns_sign` elements carry a gloss and `hamnosys_manual` symbols; of these the words are the
    gloss. Raises StableSignerError, naming the line or the sign, for a file that cannot be read.
    """
    place = Path(path)
    raw = read_bytes(place, "the notations")
    if check_ending(place, (".csv", ".sigml")) == ".sigml":
        yield from _sigml(raw, place)
        return
    try:
        reader = csv.DictReader(io.StringIO(raw.decode("utf-8-sig")))
        missing = {"gloss", "words", "hamnosys"} - set(reader.fieldnames or ())
        if missing:
            raise StableSignerError(f"{place} lacks the columns {', '.join(sorted(missing))}")
        for row in reader:
            words = _words(row["words"])
            name = (row["gloss"] or "").strip() or (words[0] if words else "")
            gloss = _gloss_of(name, place, reader.line_num)
            yield row["hamnosys"] or "", gloss, words or (_as_word(gloss),)
    except (UnicodeDecodeError, csv.Error) as error:
        raise StableSignerError(f"{place} cannot be read ({error}): save it as UTF-8") from error


def _sigml(raw: bytes, place: Path) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    if b"<!DOCTYPE" in raw or b"<!ENTITY" in raw:
        raise StableSignerError(f"{place} declares a document type, which is not read: take it out")
    try:
        root = ElementTree.fromstring(raw)
    except ElementTree.ParseError as error:
        raise StableSignerError(f"{place} is no SiGML ({error}): give an XML of hns_sign elements") from error
    for number, sign in enumerate(root.iter("hns_sign"), 1):
        gloss = _gloss_of(sign.get("gloss", ""), place, number)
        manual = sign.find("hamnosys_manual")
        text = ",".join(str(symbol.tag) for symbol in manual) if manual is not None else ""
        yield text, gloss, (_as_word(gloss),)


def _words(cell: str | None) -> tuple[str, ...]:
    """The words of a cell, parted by `|` or `;`: lower case, each once, in their order."""
    return tuple(dict.fromkeys(w.strip().lower() for w in re.split(r"[|;]", cell or "") if w.strip()))


def _as_word(gloss: str) -> str:
    return gloss.lower().replace("-", " ")


def _gloss_of(name: str, place: Path, line: int) -> str:
    plain = unicodedata.normalize("NFKD", name.replace("ß", "ss")).encode("ascii", "ignore").decode()
    gloss = "-".join(re.findall(r"[A-Z0-9]+", plain.upper()))
    if not gloss:
        raise StableSignerError(f"line {line} of {place} has neither a gloss nor a word: give it one")
    return gloss


def export_index(own: OwnLexicon, folder: str | Path, spoken: str = "en") -> int:
    """Write the signs as `.pose` files with an `index.csv`; returns how many signs.

    A line a word, because spoken-to-signed 0.4.0 looks a whole cell up: `book|volume` in one is never found.
    """
    place = Path(folder)
    if place.exists() and any(place.iterdir()):
        raise StableSignerError(f"{place} is not empty: name a new folder")
    place.mkdir(parents=True, exist_ok=True)
    rows = []
    for gloss, sign in sorted(own.signs.items()):
        motion = own.motion(gloss)
        with Outputs() as outputs:
            part = outputs.claim(place / f"{gloss}.pose")
            posefile.write_pose(part, motion, Body.load(), next(iter(SIGNERS)), 512)
        milliseconds = round(motion.duration * 1000)
        rows += [
            [f"{gloss}.pose", spoken, own.language, 0, milliseconds, word, gloss, k]
            for k, word in enumerate(sign.words or ("",))
        ]
    with (
        Outputs() as outputs,
        outputs.claim(place / "index.csv").open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(INDEX_COLUMNS)
        writer.writerows(rows)
    return len(own.signs)


# --- signing with it ---


class LayeredLexicon:
    """One's own signs first, then those that ship; the form of `slp_moe.lexicon.Lexicon`."""

    def __init__(self, own: OwnLexicon, base: Lexicon) -> None:
        self._own, self._base = own, base
        self._cache: dict[str, Prototype] = {}

    def __contains__(self, gloss: object) -> bool:
        return gloss in self._own.signs or gloss in self._base

    def prototype(self, gloss: str) -> Prototype:
        """The motion of a gloss."""
        if gloss not in self._own.signs:
            return self._base.prototype(gloss)
        if gloss not in self._cache:
            self._cache[gloss] = self._own.prototype(gloss)
        return self._cache[gloss]

    def duration(self, gloss: str) -> float:
        """Seconds."""
        return self.prototype(gloss).duration

    def spelled(self, letters: tuple[str, ...]) -> Prototype:
        """A fingerspelled word as one motion."""
        return self._base.spelled(letters)


def glossary_with(own: OwnLexicon) -> Glossary:
    """The glosses of a folder, then those that ship; the folder's words and glosses go first."""
    entries = [s.entry for s in own.signs.values()]
    return Glossary([*entries, *(e for e in Glossary.load() if e.gloss not in own.signs)])


def signer_with(folder: str | Path) -> StableSigner:
    """A StableSigner that knows the signs of a lexicon folder.

    When the folder's language is ASL its signs are laid over those that ship. A new language has the folder's
    signs only, in the order of the text; other words are spelled with the ASL alphabet, and the plan says so.
    """
    from stable_signer.slul.rules import RulePlanner

    own = OwnLexicon.load(folder)
    lexicon: Any = LayeredLexicon(own, Lexicon.load())
    planner = RulePlanner(glossary_with(own))
    alone = Glossary([s.entry for s in own.signs.values()]) if own.signs else None
    is_new = own.language != "ase"

    def draft(text: str, language: str) -> Draft:
        if is_new and language == own.language:
            return _in_text_order(text, own, alone)
        return planner.draft(text, language)

    return StableSigner(replace(shipped_stages(lexicon=lambda: lexicon), draft=draft))


def _in_text_order(text: str, own: OwnLexicon, glossary: Glossary | None) -> Draft:
    """A draft for a language that only a folder knows: signs for known phrases, the rest spelled."""
    signs: list[Sign] = []
    sentences: list[tuple[str, int]] = []
    dropped: list[str] = []
    for sentence in filter(str.strip, re.split(r"(?<=[.?!])\s+", text)):
        before = len(signs)
        if signs:
            signs.append(Sign("PAUSE", "pause", 0.0, 0.5, "author"))
        words = re.findall(r"[^\W_]+(?:['’-][^\W_]+)*", sentence)
        at = 0
        while at < len(words):
            found = glossary.longest([w.lower() for w in words], at) if glossary else None
            if found:
                signs.append(sign_of(found[0], " ".join(words[at : at + found[1]])))
                at += found[1]
                continue
            try:
                signs.append(spelled(words[at]))
            except StableSignerError:
                dropped.append(words[at])
            at += 1
        sentences.append((sentence.strip(), len(signs) - before))
    note = f"{own.name}: signs of your lexicon in the order of the text, other words in the ASL alphabet"
    return Draft(text, own.language, tuple(signs), sentences=tuple(sentences), planner="lexicon",
                 notes=(note,), dropped=tuple(dropped))  # fmt: skip
