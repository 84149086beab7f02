"""The glossary: which glosses can be signed, what they are made of, and which English words mean them.

Read from `weights/glosses.csv` (built by tools/build_glosses.py; its card is weights/glosses.md). It knows
nothing of motion: the lexicon of slp_moe keeps that, under the same glosses.
"""

from __future__ import annotations

import csv
import difflib
import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from stable_signer.errors import StableSignerError

COLUMNS = ("gloss", "kind", "parts", "words", "clip", "phonology", "approximate", "written", "note")
ENTRY_KINDS = ("lexical", "letter", "number", "index", "composed")
_GLOSS = re.compile(r"[A-Z0-9]+(?:-[A-Z0-9]+)*")


@dataclass(frozen=True)
class Entry:
    """One gloss that can be signed.

    `parts` are glosses signed one after the other instead of a movement of its own; `words` the English
    lemmas and phrases, lower case, that mean it; `clip` names the recording that its motion was fitted to
    (empty: none) and `phonology` its identifier in ASL-LEX. `approximate` marks an entry that is not, or not
    surely, the sign that signers use; `written` one that weights/signs.txt describes by hand.
    """

    gloss: str
    kind: str = "lexical"
    parts: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    clip: str = ""
    phonology: str = ""
    approximate: bool = False
    written: bool = False
    note: str = ""

    @property
    def source(self) -> str:
        """The `Sign.source` of a sign made from this entry."""
        if self.parts:
            return "composed"
        attested = self.clip or self.written or self.kind in ("number", "index", "letter")
        return "lexicon" if attested else "phonology"


class Glossary:
    """All entries, found by gloss and by English word or phrase."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._entries = {e.gloss: e for e in entries}
        self._words: dict[str, Entry] = {}
        for entry in entries:
            for word in entry.words:
                self._words.setdefault(word, entry)
        self.longest_phrase = max((w.count(" ") + 1 for w in self._words), default=1)

    @classmethod
    def load(cls, path: str | Path | None = None) -> Glossary:
        """Read `path`, or the table that ships with the package.

        Raises StableSignerError when it cannot be read, lacks a column, repeats a gloss or names a part that
        is no entry.
        """
        where = str(path) if path else "weights/glosses.csv"
        try:
            file = Path(path) if path else resources.files("stable_signer.weights") / "glosses.csv"
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise StableSignerError(
                f"the glossary {where} cannot be read ({error}): reinstall stable-signer"
            ) from error
        return cls(_parse(text, where))

    def __contains__(self, gloss: object) -> bool:
        return gloss in self._entries

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def __len__(self) -> int:
        return len(self._entries)

    def lookup(self, phrase: str) -> Entry | None:
        """The entry that means the English lemma or phrase (any case), or None."""
        return self._words.get(phrase.lower())

    def longest(self, words: Sequence[str], start: int = 0) -> tuple[Entry, int] | None:
        """The longest phrase of lower-case `words` from `start` with an entry, and its number of words."""
        for length in range(min(self.longest_phrase, len(words) - start), 0, -1):
            entry = self._words.get(" ".join(words[start : start + length]))
            if entry:
                return entry, length
        return None

    def entry(self, gloss: str) -> Entry:
        """The entry of `gloss`; StableSignerError with near matches when there is none."""
        if gloss in self._entries:
            return self._entries[gloss]
        near = difflib.get_close_matches(gloss, self._entries, n=3, cutoff=0.6)
        hint = f"did you mean {', '.join(near)}?" if near else "spell it as [[fs:...]] instead"
        raise StableSignerError(f"there is no sign with the gloss {gloss!r}: {hint}")

    def expand(self, gloss: str) -> tuple[str, ...]:
        """The glosses with a movement of their own that `gloss` is signed with, parts of parts resolved."""
        entry = self.entry(gloss)
        if not entry.parts:
            return (gloss,)
        return tuple(atom for part in entry.parts for atom in self.expand(part))


def _parse(text: str, where: str) -> list[Entry]:
    """The entries of the table `text`, checked."""

    def fault(what: str) -> StableSignerError:
        return StableSignerError(f"the glossary {where} is broken: {what}; rebuild or reinstall it")

    reader = csv.DictReader(io.StringIO(text))
    if tuple(reader.fieldnames or ()) != COLUMNS:
        raise fault(f"its columns must be {', '.join(COLUMNS)}")
    entries: dict[str, Entry] = {}
    for line in reader:
        if any(line.get(c) is None for c in COLUMNS) or None in line:
            raise fault(f"line {reader.line_num} has a wrong number of cells")
        gloss = line["gloss"]
        if not _GLOSS.fullmatch(gloss) or gloss in entries:
            raise fault(f"line {reader.line_num}: the gloss {gloss!r} is malformed or repeated")
        if line["kind"] not in ENTRY_KINDS or line["approximate"] not in ("0", "1"):
            raise fault(f"line {reader.line_num}: unknown kind {line['kind']!r} or approximate not 0 or 1")
        entries[gloss] = Entry(
            gloss,
            line["kind"],
            tuple(line["parts"].split()),
            tuple(filter(None, line["words"].split("|"))),
            line["clip"],
            line["phonology"],
            line["approximate"] == "1",
            line["written"] == "1",
            line["note"],
        )
    for entry in entries.values():
        _check_parts(entry, entries, (), fault)
    if not entries:
        raise fault("it has no entry")
    return list(entries.values())


def _check_parts(
    entry: Entry, entries: dict[str, Entry], above: tuple[str, ...], fault: Callable[[str], StableSignerError]
) -> None:
    """Refuse a part that is no entry and a gloss that contains itself."""
    for part in entry.parts:
        if part not in entries:
            raise fault(f"{entry.gloss} has the part {part}, which is no entry")
        if part in (*above, entry.gloss):
            raise fault(f"{entry.gloss} contains itself")
        _check_parts(entries[part], entries, (*above, entry.gloss), fault)
