"""Relative clauses: where they begin and end in an English sentence, and how ASL says them.

Of the eight relative clauses that NCSLGR marks (all in one file of elicited sentences, all of subjects) every
one stands at the very front of its utterance, in wh-questions too, with raised brows that begin on the noun
or right after it; after it comes the main clause, in six of the eight with a pointing sign for the noun:
CAT CHASE DOG, IX-3 EAT MOUSE. So the relative clause of a subject goes to the front with its noun, and the
main clause takes it up with IX-3. English clauses about an object ("she met a man who was from Yugoslavia",
14 of them) are never so marked by those signers: they stay as they are, in the order of the English.

Where it ends is found from the parts of speech: the main predicate is the first that cannot belong to the
relative clause. A sentence in which that is not clear is left as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from stable_signer.slul import english as en
from stable_signer.slul.items import PREDICATES, Item, has_predicate
from stable_signer.slul.plan import Sign

NOUN_PHRASE = frozenset({"ART", "DET", "POSS", "ADJ", "NUM", "NOUN", "NAME"})
HELPERS = frozenset({"BE", "DO", "MODAL", "PERFECT", "NOT", "ADV"})
BEFORE_SUBJECT = frozenset({"WH", "BE", "DO", "MODAL", "PERFECT", "TIME", "CONJ", "NOT"})
"""What may stand before the subject: a question's words, a time, "and"."""
BARE = ("DO", "MODAL")
"""In front of a subject these leave a bare verb behind it."""
TOLD = en.words("fact idea news belief feeling hope chance report way time day reason")
"""Nouns after which "that" or a bare clause tells what they are, or when: no relative clause."""


@dataclass(frozen=True)
class Relative:
    """A subject's relative clause among items: the noun phrase is items[first:noun], the clause's own words
    are items[start:end]."""

    first: int
    noun: int
    start: int
    end: int


def relative_clause(items: Sequence[Item]) -> Relative | None:
    """The subject's relative clause in a stretch without commas; None when there is none, or no clear one."""
    for noun in range(1, len(items)):
        head = items[noun - 1]
        if head.tag not in ("NOUN", "NAME") or head.word in TOLD:
            continue
        first = noun - 1
        while first and items[first - 1].tag in NOUN_PHRASE - {"NOUN", "NAME"}:
            first -= 1
        joined = items[noun].tag == "THAT"
        found = _bounded(items, first, noun, noun + joined, joined)
        if found:
            return found
    return None


def parted(
    items: list[Item], found: Relative, sign: Callable[[str, str], Sign]
) -> tuple[list[Item], list[Item], list[Item]]:
    """The noun phrase, the relative clause, and the main clause with a pointing sign in the noun's place."""
    noun, said = items[found.first : found.noun], items[found.start : found.end]
    many = noun[-1].tag == "NOUN" and en.is_plural(noun[-1].word)
    pointing = Item("", "they" if many else "it", "PRON", [sign("IX-3-PL" if many else "IX-3", "")])
    rest = items[found.end :]
    if rest and not has_predicate(rest) and any(i.tag in BARE for i in items[: found.first]):
        rest[0].tag = "VERB"  # "does the cat that ... drink": the reader takes it for another noun
    return noun, said, [*items[: found.first], pointing, *rest]


def _bounded(items: Sequence[Item], first: int, noun: int, start: int, joined: bool) -> Relative | None:
    before = items[:first]
    asked = {i.tag for i in before if i.tag in PREDICATES}
    after = _complex(items, start, joined)
    if after is None or not all(i.tag in BEFORE_SUBJECT for i in before):
        return None
    inverted = "BE" in asked
    end = _main(items, after, any(tag in asked for tag in BARE))
    if inverted and end is None:
        end = len(items) if any(i.tag == "WH" for i in before) else _phrase_end(items, start, after)
    if end is None or (not joined and (inverted or not _definite(items[first]))):
        return None
    return Relative(first, noun, start, end)


def _definite(item: Item) -> bool:
    return item.tag in ("ART", "DET", "POSS")


def _complex(items: Sequence[Item], start: int, joined: bool) -> int | None:
    """Where the relative clause's own predicate ends; None when it has none.

    Without a relative pronoun only a pronoun may be the clause's subject: "the book I bought".
    """
    at = start
    if at < len(items) and items[at].tag not in PREDICATES | {"NOT", "ADV"}:
        if not joined and items[at].word not in en.SUBJECTS:
            return None
        if items[at].tag == "PRON":
            at += 1
        else:
            while at < len(items) and items[at].tag in NOUN_PHRASE:
                at += 1
    elif not joined:
        return None
    first = at
    while at < len(items) and items[at].tag in HELPERS:
        at += 1
    if at < len(items) and items[at].tag == "VERB":
        told = {items[at].word, *en.lemmas(items[at].word).get("VERB", ())} & en.SPEECH_VERBS
        # "who said he was here is gone": which verb is whose is not clear
        return None if told and sum(i.tag in PREDICATES for i in items[at + 1 :]) > 1 else at + 1
    return at if any(i.tag in ("BE", "MODAL") for i in items[first:at]) else None


def _main(items: Sequence[Item], after: int, helped: bool) -> int | None:
    """Where the main clause's predicate begins; `helped`: it may be a bare verb."""
    for at in range(after, len(items)):
        item, before = items[at], items[at - 1]
        if before.tag in ("TO", "CONJ", "PREP"):
            continue
        if item.tag in PREDICATES and (at > after or before.tag != "BE"):
            return at
        bare = item.tag == "NOUN" and before.tag in ("NOUN", "PRON", "NAME", "ADV", "VERB")
        if helped and bare and at > after and en.verb_form(item.word) == "base":
            return at
    return None


def _phrase_end(items: Sequence[Item], start: int, after: int) -> int | None:
    """In "is the man who called you a teacher": the end of the relative clause's object, if it has one."""
    at = after
    if items[start].tag in PREDICATES | {"NOT", "ADV"}:  # its subject is the noun, so an object may follow
        if at < len(items) and items[at].tag == "PRON":
            at += 1
        else:
            while at < len(items) and items[at].tag in NOUN_PHRASE:
                at += 1
                if items[at - 1].tag in ("NOUN", "NAME"):
                    break
    return at if at < len(items) else None
