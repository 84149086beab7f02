"""Changing a plan by hand: replace, spell, insert, move or remove signs, then time it anew.

A plan's times belong to its signs, so an edit goes through a draft: `drafted` takes the times off, `edited`
changes the signs, and the scheduler puts new times on. The face's grammar stays with the signs it was over.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from stable_signer.errors import StableSignerError
from stable_signer.slul.glosses import Entry, Glossary
from stable_signer.slul.plan import Draft, Plan, Sign, Span

OPERATIONS = {
    "replace": ("at", "gloss"),
    "spell": ("at", "text"),
    "insert": ("at", "gloss"),
    "pause": ("at", "seconds"),
    "move": ("at", "to"),
    "remove": ("at",),
}
MAX_PAUSE = 10.0  # seconds
KIND_OF_ENTRY = {"letter": "fingerspelled", "number": "number", "index": "index"}


@dataclass(frozen=True)
class _Item:
    """A sign with what it belongs to: its sentence, and the spans (by number) that are over it."""

    sign: Sign
    sentence: int
    spans: frozenset[int]


def drafted(plan: Plan) -> Draft:
    """The draft that a plan was timed from: same signs, spans and sentences, without times."""
    items = _items(plan)
    return _draft(plan, items)


def edited(plan: Plan, edits: Sequence[Mapping[str, Any]], glossary: Glossary) -> Draft:
    """The draft of `plan` after `edits`, made one after the other.

    An edit is an object with `op` and its arguments, positions counting from 0 over all signs:
    {"op": "replace", "at": 2, "gloss": "BOOK"}, {"op": "spell", "at": 2, "text": "Ana"},
    {"op": "insert", "at": 3, "gloss": "NOW"}, {"op": "pause", "at": 3, "seconds": 0.5},
    {"op": "move", "at": 4, "to": 0}, {"op": "remove", "at": 1}. Insert and pause put before position `at`.
    Raises StableSignerError that names the edit for an unknown operation, position or gloss.
    """
    items = _items(plan)
    for number, edit in enumerate(edits, 1):
        try:
            items = _apply(items, edit, glossary)
        except StableSignerError as error:
            raise StableSignerError(f"edit {number}: {error}") from error
    if not any(item.sign.kind != "pause" for item in items):
        raise StableSignerError("the edits leave no sign: keep at least one")
    return _draft(plan, items)


def sign_of(entry: Entry, text: str = "") -> Sign:
    """The sign that stands for a glossary entry, for the word `text`."""
    kind = KIND_OF_ENTRY.get(entry.kind, "lexical")
    if kind == "fingerspelled":
        return spelled(entry.gloss)
    return Sign(
        entry.gloss, kind, source=entry.source, approximate=entry.approximate, text=text, parts=entry.parts
    )


def spelled(text: str) -> Sign:
    """`text` (a word in Latin letters) spelled with the fingers; accents fall away."""
    plain = unicodedata.normalize("NFKD", text).upper()
    letters = tuple(c for c in plain if "A" <= c <= "Z" or "0" <= c <= "9")
    if not letters or len(letters) > 100:
        raise StableSignerError(f"{text[:40]!r} cannot be spelled: give 1 to 100 Latin letters or digits")
    return Sign(f"fs-{''.join(letters)}", "fingerspelled", source="alphabet", text=text, parts=letters)


def _items(plan: Plan) -> list[_Item]:
    items = []
    for sign in plan.signs:
        middle = (sign.start + sign.end) / 2
        sentence = max((i for i, s in enumerate(plan.sentences) if s.start <= middle), default=0)
        over = frozenset(i for i, n in enumerate(plan.nonmanuals) if n.start <= middle <= n.end)
        items.append(_Item(sign, sentence, over))
    return items


def _draft(plan: Plan, items: list[_Item]) -> Draft:
    spans = []
    for number, nonmanual in enumerate(plan.nonmanuals):
        under = [i for i, item in enumerate(items) if number in item.spans]
        if under:
            spans.append(Span(nonmanual.kind, under[0], under[-1]))
    sentences = [
        (s.text, sum(item.sentence == i for item in items)) for i, s in enumerate(plan.sentences)
    ] or [(plan.text, len(items))]
    return Draft(
        text=plan.text,
        language=plan.language,
        signs=tuple(_untimed(item.sign) for item in items),
        spans=tuple(spans),
        sentences=tuple(sentences),
        planner=plan.planner,
        notes=plan.notes,
        dropped=plan.dropped,
    )


def _untimed(sign: Sign) -> Sign:
    return replace(sign, start=0.0, end=sign.end - sign.start if sign.kind == "pause" else 0.0)


def _apply(items: list[_Item], edit: Mapping[str, Any], glossary: Glossary) -> list[_Item]:
    op = edit.get("op")
    if op not in OPERATIONS:
        raise StableSignerError(f"there is no operation {op!r}: use one of {', '.join(OPERATIONS)}")
    wanted = ("op", *OPERATIONS[op])
    if set(edit) != set(wanted):
        raise StableSignerError(f"{op} takes {', '.join(wanted)}, not {', '.join(map(str, edit))}")
    grows = op in ("insert", "pause")
    at = _position(edit["at"], "at", len(items) + grows)
    out = list(items)
    if op == "replace":
        out[at] = replace(out[at], sign=sign_of(glossary.entry(_string(edit, "gloss")), out[at].sign.text))
    elif op == "spell":
        out[at] = replace(out[at], sign=spelled(_string(edit, "text")))
    elif op == "insert":
        out.insert(at, _placed(items, at, sign_of(glossary.entry(_string(edit, "gloss")))))
    elif op == "pause":
        out.insert(at, _placed(items, at, Sign("PAUSE", "pause", 0.0, _seconds(edit), "author")))
    else:
        taken = out.pop(at)
        if op == "move":
            to = _position(edit["to"], "to", len(items))
            there = _placed(out, to, taken.sign)
            # Within its sentence a moved sign keeps its face: a wh-sign put first is still under its brows.
            out.insert(to, taken if there.sentence == taken.sentence else there)
    return out


def _placed(items: list[_Item], at: int, sign: Sign) -> _Item:
    """`sign` as a new item before `at`: in its neighbour's sentence, under the spans of both sides."""
    before = items[at - 1] if at else None
    after = items[at] if at < len(items) else None
    neighbour = before or after
    if neighbour is None:
        return _Item(sign, 0, frozenset())
    both = before.spans & after.spans if before and after else frozenset()
    return _Item(sign, neighbour.sentence, both)


def _position(value: object, name: str, count: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < count:
        raise StableSignerError(f"{name!r} must be a position from 0 to {count - 1}, not {value!r}")
    return value


def _string(edit: Mapping[str, Any], name: str) -> str:
    value = edit[name]
    if not isinstance(value, str) or not value.strip():
        raise StableSignerError(f"{name!r} must be a string with something in it")
    return value.strip()


def _seconds(edit: Mapping[str, Any]) -> float:
    value = edit["seconds"]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= MAX_PAUSE:
        raise StableSignerError(f"'seconds' must be a number above 0, at most {MAX_PAUSE:g}")
    return float(value)
