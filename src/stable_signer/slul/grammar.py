"""From items to ASL: clauses, the order of their signs, and the spans of face and head grammar over them.

The order follows what native signers do in NCSLGR (1,614 utterances), counted before it was written: NOT
stands before the predicate (100 of 111) and so do FINISH (66 of 99) and FUTURE (64 of 84); wh-signs are
last (50 of 107); time signs stand first more often than last (42 against 29, 23 between); articles and
`of`, `at`, `to` are rarely signed, `and` in 33 of 325 sentences, `in`, `on`, `for`, `but` in about half.
Relative clauses are in relative.py. What needs more than word order (role shift, classifiers, places in
space) is not attempted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from itertools import pairwise

from stable_signer.slul import english as en
from stable_signer.slul.items import PREDICATES, Item, has_predicate
from stable_signer.slul.plan import Sign, Span
from stable_signer.slul.relative import parted, relative_clause
from stable_signer.slul.tagging import asks

NEGATIVE = frozenset(
    {
        "NOT",
        "NONE",
        "NEVER",
        "NOTHING",
        "NOBODY",
        "CANNOT",
        "DONT-WANT",
        "NOT-YET",
        "REFUSE",
        "NO",
        "DONT-CARE",
        "DONT-MIND",
        "NEITHER",
    }
)
FUSED = {
    ("NOT", "WANT"): "DONT-WANT",
    ("CAN", "NOT"): "CANNOT",
    ("NOT", "CARE"): "DONT-CARE",
    ("NOT", "MIND"): "DONT-MIND",
    ("NOT", "YET"): "NOT-YET",
}
"""Two signs that ASL joins in one."""
STATES = en.words("""
    HAVE WANT KNOW LIKE LOVE THINK FEEL NEED LIVE HOPE BELIEVE UNDERSTAND CAN MUST SHOULD WORK STAY HATE
    PREFER SEEM WISH OWE LOOK-LIKE
""")
"""Verbs of lasting states: their past is told by PAST before the sentence, not by FINISH."""
UNMARKED = en.words("""
    SAY SHOUT ASK ANSWER TELL EXPLAIN HAPPEN FORGET REMEMBER DECIDE FINISH START STOP BIRTH
""")
"""Verbs whose past goes unmarked: telling verbs in a story, and events that are over by their meaning."""
UNSIGNED = frozenset({"ART", "BE", "DO", "PERFECT", "TO", "SILENT", "THAT", "COMMA"})
SUBJECT = frozenset({"ART", "DET", "POSS", "ADJ", "NUM", "NOUN", "NAME", "X"})
TIME_TELLING = en.words("FINISH ALREADY RECENT WILL AGO PAST BIRTH")
"""Signs beside which the past needs no other mark."""
BOUND = en.words("since until till before after from for by to of than about")
"""Words that keep a time where it is."""
TIME_PREPOSITIONS = ("in", "on", "at", "during")
Maker = Callable[[str, str], Sign]
"""Makes the sign of a gloss, standing for a text."""


@dataclass
class Clause:
    """Items of one clause; `kind` is main, sub, if, when, topic, relative or aside (an interjection or a
    vocative).

    `wh` is set by `order` when the clause asks with a question word. `head`: the noun phrase that a relative
    clause brings to the front.
    """

    items: list[Item]
    kind: str = "main"
    pause: bool = False
    wh: bool = False
    head: list[Item] = field(default_factory=list)

    def has_predicate(self) -> bool:
        """Whether a verb, modal or form of be is in it."""
        return has_predicate(self.items)


@dataclass
class Discourse:
    """What one sentence leaves for the next: whether the time is established."""

    time_known: bool = False


# -- clauses ---------------------------------------------------------------------------------------


def clauses(items: list[Item], question: bool, sign: Maker) -> list[Clause]:
    """Cut a sentence into clauses; if- and when-clauses come before their main clause, and so does the
    relative clause of a subject."""
    found = [c for piece in _pieces(items) for part in _cut(piece) for c in _related(part, sign)]
    for clause in found:
        clause.kind = clause.kind if clause.kind == "relative" else _kind(clause)
    _question_tag(found, question, sign)
    found = _merge(found)
    # The condition and the time of an event come first, whatever the English order.
    for index in range(1, len(found)):
        clause, before = found[index], found[index - 1]
        if clause.kind in ("if", "when") and before.kind == "main" and before.items:
            clause.pause, before.pause = before.pause, True
            found[index - 1 : index + 1] = [clause, before]
    return found


def _pieces(items: list[Item]) -> Iterable[Clause]:
    """The stretches between commas."""
    piece: list[Item] = []
    comma = False
    for item in items:
        if item.tag == "COMMA":
            if piece:
                yield Clause(piece, pause=comma)
            piece, comma = [], True
        else:
            piece.append(item)
    if piece:
        yield Clause(piece, pause=comma)


def _cut(clause: Clause) -> Iterable[Clause]:
    """Cut before subordinators and before conjunctions that join clauses."""
    items, start, broken = clause.items, 0, clause.pause
    for index in range(1, len(items)):
        before, after = items[start:index], items[index:]
        item = items[index]
        if item.tag == "IF" and asks(items[index - 1]):
            continue  # "ask if" is whether, not a condition
        joined = (
            item.tag == "CONJ"
            and has_predicate(before)
            and (
                _clause_follows(after[1:])
                or (after[1:] and after[1].tag == "VERB" and _timed(before) and _timed(after))
            )
        )
        opened = item.tag in ("IF", "WHEN", "SUB") and has_predicate(before)
        closed = items[start].tag in ("IF", "WHEN") and _main_begins(before, after)
        if joined or opened or closed:
            yield Clause(before, pause=broken)
            start, broken = index, closed or item.tag in ("IF", "WHEN") or item.word == "and"
    yield Clause(items[start:], pause=broken)


def _related(clause: Clause, sign: Maker) -> Iterable[Clause]:
    """A clause as it is, or its relative clause and the rest of it, in ASL's order."""
    found = relative_clause(clause.items)
    if found is None:
        return [clause]
    head, said, rest = parted(clause.items, found, sign)
    # no pause between the two: in NCSLGR the main clause follows within 0.1 s as a rule
    return [Clause(said, "relative", clause.pause, head=head), Clause(rest)]


def _timed(items: list[Item]) -> bool:
    return any(i.tag == "TIME" or i.unit for i in items)


def _clause_follows(items: list[Item]) -> bool:
    """Whether a subject and a predicate follow, as after a conjunction that joins clauses."""
    return (
        bool(items)
        and items[0].tag != "VERB"
        and has_predicate(items[1:6])
        and (
            items[0].word in en.SUBJECTS
            or items[0].tag
            in ("NAME", "ART", "POSS", "DET", "WH", "IF", "WHEN", "NOUN", "TIME", "SILENT", "BE", "DO")
        )
    )


def _main_begins(before: list[Item], after: list[Item]) -> bool:
    """Whether the main clause begins here in "if it rains I will stay", written without a comma."""
    if not has_predicate(before[1:]) or before[-1].tag in (
        "PREP",
        "CONJ",
        "ART",
        "POSS",
        "DET",
        "TO",
        "BE",
        "MODAL",
        "DO",
    ):
        return False
    if after[0].tag == "CONJ":
        return after[0].word == "then"
    subject = (
        after[0].word in en.SUBJECTS
        and after[0].tag == "PRON"
        and not (before[-1].tag == "VERB" and before[-1].word in en.SPEECH_VERBS)
    )
    return (
        (subject and has_predicate(after[1:4]))
        or after[0].tag == "WH"
        or (after[0].tag in ("MODAL", "DO") and before[-1].tag not in ("PRON", "NOUN", "NAME", "NOT"))
    )


def _kind(clause: Clause) -> str:
    tag = clause.items[0].tag
    if tag in ("IF", "WHEN", "SUB"):
        return {"IF": "if", "WHEN": "when", "SUB": "sub"}[tag]
    return "aside" if all(i.tag in ("INTJ", "PAUSE") for i in clause.items) else "main"


def _question_tag(found: list[Clause], question: bool, sign: Maker) -> None:
    """ "..., isn't it?" is the sign RIGHT with a question on the face."""
    if not question or len(found) < 2:
        return
    tag = found[-1].items
    if (
        tag[0].tag in PREDICATES
        and len(tag) <= 3
        and all(i.tag in (*PREDICATES, "NOT", "PRON", "SILENT") for i in tag)
    ):
        text = " ".join(i.text for i in tag)
        found[-1] = Clause([Item(text, text.lower(), "X", [sign("RIGHT", text)])], "main", True)


def _merge(found: list[Clause]) -> list[Clause]:
    """Put pieces without a predicate in place: lists and times join, the rest is a topic or an aside."""
    out: list[Clause] = []
    for index, clause in enumerate(found):
        following = found[index + 1] if index + 1 < len(found) else None
        if (
            clause.kind != "main"
            or clause.has_predicate()
            or (index and found[index - 1].kind == "relative")
            or any(i.tag == "X" for i in clause.items)
        ):
            out.append(clause)
        elif following is not None and following.has_predicate() and (not out or out[-1].kind == "aside"):
            times = all(
                i.tag in ("TIME", "PREP", "SILENT", "ART", "DET", "NUM", "ADV", "CONJ") or i.unit
                for i in clause.items
            )
            if times and following.kind == "main":
                following.items[:0] = clause.items
                following.pause = clause.pause
            else:
                clause.kind = "aside" if len(clause.items) == 1 else "topic"
                out.append(clause)
                following.pause = True
        elif out and out[-1].kind != "aside":
            out[-1].items += clause.items
        else:
            out.append(clause)
    return out


# -- order -----------------------------------------------------------------------------------------


def order(clause: Clause, asked: bool, said: Discourse, sign: Maker) -> tuple[list[Item], list[Item]]:
    """The items of a clause in ASL order, and which of them are times moved to the front."""
    items = list(clause.items)
    lead: list[Item] = []
    while items and items[0].tag in ("CONJ", "IF", "WHEN", "SUB", "INTJ"):
        lead.append(items.pop(0))
    if lead and lead[0].tag == "CONJ" and lead[0].word == "and":
        lead[0].signs = []
    times = _take_times(items, sign)
    # "Can you tell me how ...?" asks for yes or no: its question word stays where it is.
    inverted = bool(items) and items[0].tag in PREDICATES - {"VERB"}
    asked_for = _take_wh(items) if asked and not inverted else []
    clause.wh = bool(asked_for)
    if asked or any(i.tag == "NOT" for i in items[:2]):
        _subject_first(items)
    items = _join_negation(items, sign)
    if asked_for and asked_for[0].word == "what" and _only_do(items):
        verb = next(i for i in items if i.tag == "VERB")
        items.remove(verb)
        asked_for[0].signs = [sign("DO-DO", f"{asked_for[0].text} {verb.text}")]
    _light_verbs(items)
    _none_after_noun(items)
    _tense(clause, items, times, said, sign, asked)
    signed = [i for i in items if i.tag not in UNSIGNED and i.signs]
    if clause.kind == "when":
        for item in lead[:1]:
            item.signs = []
    head = [i for i in clause.head if i.tag not in UNSIGNED and i.signs]
    return [*lead, *head, *times, *signed, *asked_for], times if signed and not asked else []


def _take_times(items: list[Item], sign: Maker) -> list[Item]:
    """Remove the time adverbials and return them, days before hours. Their prepositions go unsigned."""
    groups: list[list[Item]] = []
    index = 0
    while index < len(items):
        length = _time_length(items, index)
        if not length or not _adverbial(items, index, length):
            index += max(length, 1)
            continue
        group = items[index : index + length]
        if group[0].word in TIME_PREPOSITIONS:
            place = group.pop(0)
            place.signs = []
            if place.word == "in" and group[0].tag == "NUM":
                group.append(Item(place.text, "later", "ADV", [sign("LATER", place.text)]))
        group = [i for i in group if i.tag not in UNSIGNED and i.signs]
        # "The meeting is on Monday at 3": a time that is the predicate stays where it is.
        copula = next((k for k, i in enumerate(items[:index]) if i.tag == "BE"), None)
        if (
            copula is not None
            and not any(i.tag == "VERB" for i in items)
            and all(
                i.tag in ("TIME", "SILENT", "PREP", "NUM", "ART", "NOT") or i.unit
                for i in items[copula + 1 :]
            )
        ):
            items[index : index + length] = group
            index += len(group)
            continue
        del items[index : index + length]
        groups.append(group)
    groups.sort(key=lambda g: bool(g) and g[0].gloss == "TIME")
    return [item for group in groups for item in group]


def _adverbial(items: list[Item], index: int, length: int) -> bool:
    """Whether the time at `index` says when it happens: not owned, no object, not bound to "since"."""
    before = items[index - 1] if index else None
    first = items[index]
    if index + length < len(items) and items[index + length].text == "'s":
        return False
    if first.word == "in" and items[index + 1].tag == "NUM" and _past(items):
        return False  # "ran it in 25 minutes" tells how long
    if before is None:
        return True
    if before.word in BOUND:
        return False
    free = first.tag == "TIME" or first.word in TIME_PREPOSITIONS
    return free or before.tag not in ("POSS", "VERB", "ADJ", "PREP")


def _time_length(items: list[Item], start: int) -> int:
    """How many items from `start` make a time adverbial; 0 for none."""
    index = start
    if items[index].word in TIME_PREPOSITIONS and index + 1 < len(items):
        rest = index + 1
        while (rest < len(items) and items[rest].tag in ("ART", "NUM")) or (
            rest < len(items) and items[rest].word in en.TIME_MODIFIERS | {"that", "late", "early"}
        ):
            rest += 1
        if (
            rest < len(items)
            and (items[rest].unit or items[rest].tag == "TIME")
            and not (rest + 1 < len(items) and items[rest + 1].tag == "POSS")
        ):
            return rest + 1 - start + _time_length_more(items, rest + 1)
        return 0
    if items[index].tag == "TIME":
        return 1 + _time_length_more(items, index + 1)
    while index < len(items) and (
        items[index].tag in ("ART", "NUM", "DET") or items[index].word in en.TIME_MODIFIERS
    ):
        index += 1
    if index < len(items) and (items[index].unit or items[index].tag == "TIME"):
        ago = index + 1 < len(items) and items[index + 1].word in ("ago", "later", "earlier")
        if ago:
            return index + 2 - start
        if index > start and items[index - 1].word in ("last", "next", "every", "each", "this", "that"):
            return index + 1 - start + _time_length_more(items, index + 1)
    return 0


def _time_length_more(items: list[Item], index: int) -> int:
    """Items that go on with a time: "tomorrow morning", "Monday night"."""
    more = 0
    while index + more < len(items) and (items[index + more].unit or items[index + more].tag == "TIME"):
        more += 1
    return more


def _take_wh(items: list[Item]) -> list[Item]:
    """Remove the question word, with the preposition or the adjective that belongs to it, and return it."""
    place = next((k for k, i in enumerate(items) if i.tag == "WH"), None)
    if place is None:
        return []
    first, last = place, place + 1
    if first and items[first - 1].tag == "PREP":
        first -= 1
    if items[place].word == "how" and last < len(items) and items[last].tag in ("ADJ", "ADV", "DET"):
        last += 1
    group = items[first:last]
    del items[first:last]
    # "what time", "what color": the noun goes with its question word, other nouns stay in front as the topic.
    if (
        items[first : first + 1]
        and items[first].tag == "NOUN"
        and items[first].word in ("time", "color", "colour", "day", "kind", "size")
        and first == place
    ):
        group.insert(0, items.pop(first))
    return group


def _subject_first(items: list[Item]) -> None:
    """Undo inversion in place: "can you help" -> you can help. A fronted noun or time stays before both."""
    start = next((k for k, i in enumerate(items) if i.tag in ("MODAL", "DO", "BE", "PERFECT")), None)
    if start is None or any(i.tag in ("VERB", "PRON") for i in items[:start]):
        return
    end = start
    while end < len(items) and items[end].tag in ("MODAL", "DO", "BE", "PERFECT", "NOT"):
        end += 1
    stop = end
    if stop < len(items) and items[stop].tag == "PRON":
        stop += 1
    else:
        while stop < len(items) and items[stop].tag in SUBJECT:
            noun = items[stop].tag in ("NOUN", "NAME")
            stop += 1
            if noun and stop < len(items) and items[stop].tag in ("ADJ", "ART", "DET", "NUM"):
                break
    if stop < len(items):
        items[start:stop] = [*items[end:stop], *items[start:end]]


def _join_negation(items: list[Item], sign: Maker) -> list[Item]:
    """Join CAN NOT, NOT WANT, NOT ... YET into the one sign they have."""
    out = list(items)
    signed = [i for i in out if i.tag not in UNSIGNED and i.signs]
    for left, right in pairwise(signed):
        fused = FUSED.get((left.gloss, right.gloss))
        if fused and right.tag in ("NOT", "VERB", "ADV") and left in out and right in out:
            text = left.text if left.text == right.text else f"{left.text} {right.text}".strip()
            position = out.index(left)
            out[position] = Item(
                text, left.word, "NOT" if right.tag == "ADV" else "VERB", [sign(fused, text)]
            )
            out.remove(right)
    for left, right in pairwise(signed):
        if left.word == "there" and left.gloss == "HAVE" and right.tag in ("NOT", "MODAL"):
            a, b = out.index(left), out.index(right)
            out[a], out[b] = right, left
        if left.gloss == "NOT" and right.gloss == "WILL":
            a, b = out.index(left), out.index(right)
            out[a], out[b] = right, left
        if left.gloss == "NOT" and right.word == "have to":  # no duty is NOT NEED, not a ban
            right.signs = [sign("NEED", right.text)]
    yet = next((i for i in out if i.word == "yet" and i.signs), None)
    denied = next((i for i in out if i.gloss == "NOT"), None)
    if yet and denied:
        denied.signs = [sign("NOT-YET", f"{denied.text} {yet.text}")]
        out.remove(yet)
    return out


def _only_do(items: list[Item]) -> bool:
    """Whether "do" is the clause's only verb and has no object: what do you do."""
    verbs = [i for i in items if i.tag == "VERB"]
    return (
        len(verbs) == 1
        and "do" in {verbs[0].word, *en.lemmas(verbs[0].word).get("VERB", ())}
        and not any(i.tag in ("NOUN", "NAME", "DET") for i in items[items.index(verbs[0]) + 1 :])
    )


def _light_verbs(items: list[Item]) -> None:
    """ "take a shower" is SHOWER: the verb gives its text to the noun."""
    for index, item in enumerate(items):
        lemma = next(iter(en.lemmas(item.word).get("VERB", ())), item.word)
        if item.tag != "VERB" or lemma not in en.LIGHT_VERBS:
            continue
        noun = next((i for i in items[index + 1 : index + 5] if i.tag == "NOUN"), None)
        if noun and noun.signs and en.LIGHT_VERBS[lemma] & {noun.word, *en.lemmas(noun.word).get("NOUN", ())}:
            noun.signs[0] = replace(noun.signs[0], text=f"{item.text} {noun.signs[0].text}")
            noun.tag, item.signs = "VERB", []
            item.tag = "SILENT"


def _none_after_noun(items: list[Item]) -> None:
    """ "no money" -> MONEY NONE, in place; "there is no milk" loses its HAVE."""
    for index, item in enumerate(items):
        if item.gloss != "NONE" or item.tag != "DET":
            continue
        stop = index + 1
        while stop < len(items) and items[stop].tag in ("ADJ", "NOUN", "NAME", "NUM"):
            stop += 1
        items[index:stop] = [*items[index + 1 : stop], item]
        for other in items[:index]:
            if other.word == "there" and other.gloss == "HAVE":
                item.signs[0] = replace(item.signs[0], text=f"{other.text} {item.text}")
                other.signs = []
        return


def _tense(
    clause: Clause, items: list[Item], times: list[Item], said: Discourse, sign: Maker, asked: bool
) -> None:
    """Put FINISH before the verb of a past event, PAST before a past state, where no time is established."""
    if times or any(i.tag == "TIME" for i in items):
        said.time_known = True
    signed = {i.gloss for i in items}
    verb = next((i for i in items if i.tag == "VERB" and i.signs), None)
    told = bool(TIME_TELLING & signed) or (verb is not None and verb.gloss in UNMARKED)
    if clause.kind in ("if", "aside", "topic", "relative") or told:
        return
    negated = bool(NEGATIVE & signed)
    event = verb is not None and verb.gloss not in STATES and not negated
    perfect = next((i for i in items if i.tag == "PERFECT"), None)
    if perfect is not None:
        going_on = verb is not None and en.verb_form(verb.word) == "ing"  # has been learning
        if verb is not None and event and not going_on:
            items.insert(
                items.index(verb), Item(perfect.text, "finish", "ADV", [sign("FINISH", perfect.text)])
            )
        return
    past = _past(items)
    if past is None or said.time_known or (asked and verb is not None and verb.gloss in STATES):
        return
    said.time_known = True
    text = "" if past is verb else past.text
    if verb is not None and event and past.tag != "BE":
        items.insert(items.index(verb), Item(text, "finish", "ADV", [sign("FINISH", text)]))
    else:
        items.insert(0, Item(text, "past", "ADV", [sign("PAST", text)]))


def _past(items: list[Item]) -> Item | None:
    """The item that tells the past: did, was or were, or the clause's verb."""
    helper = next((i for i in items if (i.tag, i.word) == ("DO", "did") or i.word in en.PAST_BE), None)
    if helper or any(i.tag in ("MODAL", "BE") for i in items):
        return helper
    verb = next((i for i in items if i.tag == "VERB" and i.signs), None)
    word = verb.word.split()[0] if verb else ""
    return verb if word not in en.MODALS and en.verb_form(word) == "past" else None


# -- spans -----------------------------------------------------------------------------------------


def spans_of(clause: Clause, ordered: list[Item], fronted: list[Item], first: int, asked: bool) -> list[Span]:
    """Face and head grammar over a clause whose signs start at `first`."""
    places: list[tuple[Item, int, int]] = []
    at = first
    for item in ordered:
        if item.signs:
            places.append((item, at, at + len(item.signs) - 1))
            at += len(item.signs)
    last = at - 1
    spans = []
    if clause.kind == "if":
        spans.append(Span("conditional", first, last))
    elif clause.kind in ("when", "topic"):
        spans.append(Span("topic", first, last))
    elif clause.kind == "relative":
        spans.append(Span("relative-clause", first, last))
    elif asked:
        spans.append(Span("wh-question" if clause.wh else "yes-no-question", first, last))
    moved = [(a, b) for i, a, b in places if i in fronted]
    if moved and clause.kind == "main":
        spans.append(Span("topic", moved[0][0], moved[-1][1]))
    denied = next(
        ((k, a) for k, (i, a, _) in enumerate(places) if any(s.gloss in NEGATIVE for s in i.signs)), None
    )
    if denied:
        place, start = denied
        start += next(k for k, s in enumerate(places[place][0].signs) if s.gloss in NEGATIVE)
        if places[place][0].gloss == "NONE" and place:
            start = places[place - 1][1]
        end = next((a - 1 for i, a, _ in places[place + 1 :] if i.tag == "WH" and clause.wh), last)
        spans.append(Span("negation", start, max(start, end)))
    for place, (item, a, b) in enumerate(places):
        if item.gloss in ("YES", "YEAH"):
            spans.append(Span("affirmation", a, b))
        if item.word in en.DEGREE and item.tag == "ADV" and item.gloss != "ALSO":
            spans.append(Span("intensity", a, places[place + 1][2] if place + 1 < len(places) else b))
    return spans
