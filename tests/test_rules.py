"""Golden plans of the rule path, and what must hold for any text."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stable_signer.errors import StableSignerError
from stable_signer.slul.english import CONTRACTIONS, GRAMMAR_WORDS
from stable_signer.slul.glosses import Glossary
from stable_signer.slul.plan import NONMANUALS, Draft, Nonmanual, Plan, Sentence, Sign
from stable_signer.slul.rules import LONGEST_TEXT, RulePlanner

PLANNER = RulePlanner(Glossary.load())


def glosses(draft: Draft) -> str:
    """The signs of a draft; | is a pause inside a sentence, || one between sentences."""
    return " ".join(("||" if s.end >= 0.5 else "|") if s.kind == "pause" else s.gloss for s in draft.signs)


def spans(draft: Draft) -> set[str]:
    return {f"{s.kind} {s.first}-{s.last}" for s in draft.spans}


GOLDEN = [
    # questions
    ("What is your name?", "POSS-2 NAME WHAT", {"wh-question 0-2"}),
    ("Where is the bathroom?", "BATHROOM WHERE", {"wh-question 0-1"}),
    ("How many children do you have?", "CHILDREN IX-2 HAVE HOW-MANY", {"wh-question 0-3"}),
    ("What are you doing tomorrow?", "TOMORROW IX-2 DO-DO", {"wh-question 0-2"}),
    ("What time is it?", "TIME WHAT", {"wh-question 0-1"}),
    ("Who is that man?", "THAT MAN WHO", {"wh-question 0-2"}),
    ("How old are you?", "IX-2 HOW-OLD", {"wh-question 0-1"}),
    ("Do you like chocolate?", "IX-2 LIKE CHOCOLATE", {"yes-no-question 0-2"}),
    ("Can the teacher help me?", "TEACHER CAN HELP IX-1", {"yes-no-question 0-3"}),
    ("Have you eaten?", "IX-2 FINISH EAT", {"yes-no-question 0-2"}),
    ("Is it raining?", "RAIN", {"yes-no-question 0-0"}),
    (
        "You're coming tomorrow, aren't you?",
        "TOMORROW IX-2 COME | RIGHT",
        {"topic 0-0", "yes-no-question 4-4"},
    ),
    # negation
    ("I don't like coffee.", "IX-1 NOT LIKE COFFEE", {"negation 1-3"}),
    ("I can't swim.", "IX-1 CANNOT SWIM", {"negation 1-2"}),
    ("I don't want to go.", "IX-1 DONT-WANT GO", {"negation 1-2"}),
    ("He is not my brother.", "IX-3 NOT POSS-1 BROTHER", {"negation 1-3"}),
    ("There is no milk.", "MILK NONE", {"negation 0-1"}),
    ("I haven't eaten yet.", "IX-1 NOT-YET EAT", {"negation 1-2"}),
    ("You don't have to come.", "IX-2 NOT NEED COME", {"negation 1-3"}),
    ("No, thank you.", "NO | THANK-YOU", {"negation 0-0"}),
    # conditions and other clauses
    (
        "If it rains tomorrow, I will stay home.",
        "IF TOMORROW RAIN | IX-1 WILL STAY HOME",
        {"conditional 0-2"},
    ),
    ("Call me if you need help.", "IF IX-2 NEED HELP | PHONE IX-1", {"conditional 0-3"}),
    ("If it rains I will stay home", "IF RAIN | IX-1 WILL STAY HOME", {"conditional 0-1"}),
    ("When the teacher arrives, we will start.", "TEACHER ARRIVE | IX-1-PL WILL START", {"topic 0-1"}),
    ("I prefer tea, but he likes coffee.", "IX-1 PREFER TEA | BUT IX-3 LIKE COFFEE", set()),
    ("I know that you can do it.", "IX-1 KNOW IX-2 CAN DO IX-3", set()),
    # relative clauses: of a subject in front, taken up by pointing; of an object as they are
    (
        "The man who called you is a teacher.",
        "MAN PHONE IX-2 IX-3 TEACHER",
        {"relative-clause 0-2"},
    ),
    ("The book I bought is good.", "BOOK IX-1 BUY IX-3 GOOD", {"relative-clause 0-2"}),
    (
        "What did the cat that chased the dog eat yesterday?",
        "CAT CHASE DOG YESTERDAY IX-3 EAT WHAT",
        {"relative-clause 0-2", "wh-question 3-6"},
    ),
    (
        "Does the cat who chases the mouse drink water?",
        "CAT CHASE MOUSE IX-3 DRINK WATER",
        {"relative-clause 0-2", "yes-no-question 3-5"},
    ),
    (
        "Is the movie that you saw good?",
        "MOVIE IX-2 SEE IX-3 GOOD",
        {"relative-clause 0-2", "yes-no-question 3-4"},
    ),
    (
        "Where is the bus that goes to Boston?",
        "BUS GO BOSTON IX-3 WHERE",
        {"relative-clause 0-2", "wh-question 3-4"},
    ),
    (
        "The students who passed the test are happy.",
        "STUDENT PASS TEST IX-3-PL HAPPY",
        {"relative-clause 0-2"},
    ),
    (
        "I have a friend who can't hear.",
        "IX-1 HAVE FRIEND CANNOT HEAR",
        {"negation 3-4"},
    ),
    ("I know the girl that John likes.", "IX-1 KNOW GIRL fs-JOHN LIKE", set()),
    ("I told my boss that I was sick.", "IX-1 TELL POSS-1 BOSS IX-1 SICK", set()),
    ("The idea that he is sick is bad.", "IDEA IX-3 SICK BAD", set()),
    # names, numbers, times
    ("My name is Maria Lopez.", "POSS-1 NAME fs-MARIA fs-LOPEZ", set()),
    ("Mark is my friend.", "fs-MARK POSS-1 FRIEND", set()),
    ("John's mother is a teacher.", "fs-JOHN POSS-3 MOTHER TEACHER", set()),
    ("Dr. Smith works at NASA.", "DOCTOR fs-SMITH WORK fs-NASA", set()),
    ("José lives in São Paulo.", "fs-JOSE LIVE IN fs-SAO fs-PAULO", set()),
    ("My phone number is 555-123-4567.", "POSS-1 NUMBER-PHONE 555 123 4567", set()),
    ("The meeting is on May 5, 2024 at 3:30 pm.", "MEETING fs-MAY 5 2024 TIME 3 30 AFTERNOON", set()),
    ("It costs $25.50.", "IX-3 COST 25 DOLLAR 50 CENT", set()),
    ("He died in 1999.", "1999 IX-3 DIE", {"topic 0-0"}),
    ("I am 25 years old.", "IX-1 AGE 25", set()),
    ("She lives on the 3rd floor.", "IX-3 LIVE ON THIRD FLOOR", set()),
    ("Two days ago, I met an old friend.", "2 DAY AGO IX-1 MEET OLD FRIEND", {"topic 0-2"}),
    ("I'll be back in two hours.", "2 HOUR LATER IX-1 WILL fs-BACK", {"topic 0-2"}),
    # senses and phrases
    ("She left yesterday.", "YESTERDAY IX-3 LEAVE", {"topic 0-0"}),
    ("Turn left at the corner.", "TURN LEFT CORNER", set()),
    ("He looks like his father.", "IX-3 LOOK-LIKE POSS-3 FATHER", set()),
    ("You look tired.", "IX-2 SEEM TIRED", set()),
    ("Take a shower.", "SHOWER", set()),
    ("Write it down.", "WRITE IX-3", set()),
    ("She is taller than her brother.", "IX-3 MORE TALL THAN POSS-3 BROTHER", set()),
    ("Yes, I am deaf.", "YES | IX-1 DEAF", {"affirmation 0-0"}),
    ("Thank you very much for your help.", "THANK-YOU FOR POSS-2 HELP", set()),
    ("Let's go to the park.", "IX-1-PL GO PARK", set()),
    ('She said, "I am hungry."', "IX-3 SAY | IX-1 HUNGRY", set()),
    ("We bought apples, oranges, and bananas.", "IX-1-PL FINISH BUY APPLE ORANGE AND BANANA", set()),
    # several sentences: the past is marked once
    ("I saw a dog. It was big. It ran away.", "IX-1 FINISH SEE DOG || IX-3 BIG || IX-3 ESCAPE", set()),
    # the author's overrides
    ("[[HELLO]] I am [[fs:Ana]] [[pause 0.75]] [[deaf]]", "HELLO IX-1 fs-ANA || DEAF", set()),
]


@pytest.mark.parametrize(("text", "signs", "nonmanuals"), GOLDEN, ids=[g[0] for g in GOLDEN])
def test_golden(text: str, signs: str, nonmanuals: set[str]) -> None:
    draft = PLANNER.draft(text)
    assert glosses(draft) == signs
    assert spans(draft) == nonmanuals
    assert draft.dropped == ()


def test_signs_say_what_they_stand_for() -> None:
    draft = PLANNER.draft("Maria doesn't have 125 cats.")
    assert [(s.gloss, s.kind, s.source, s.text, s.parts) for s in draft.signs] == [
        ("fs-MARIA", "fingerspelled", "alphabet", "Maria", ("M", "A", "R", "I", "A")),
        ("NOT", "lexical", "lexicon", "doesn't", ()),
        ("HAVE", "lexical", "lexicon", "have", ()),
        ("125", "number", "composed", "125", ("1", "HUNDRED", "25")),
        ("CAT", "lexical", "lexicon", "cats", ()),
    ]


def test_sentences_share_out_all_signs() -> None:
    draft = PLANNER.draft("Hello. My name is Ana!\n\nWhat is your name?")
    assert [t for t, _ in draft.sentences] == ["Hello.", "My name is Ana!", "What is your name?"]
    assert sum(n for _, n in draft.sentences) == len(draft.signs)


def test_what_cannot_be_signed_is_reported() -> None:
    draft = PLANNER.draft("Hello 😀 world 你好!\x07")
    assert glosses(draft) == "HELLO WORLD"
    assert draft.dropped == ("😀", "你好", "U+0007")


def test_approximations_are_noted() -> None:
    draft = PLANNER.draft("I like the algorithm.")
    assert draft.signs[-1].approximate
    assert any(n.startswith("ALGORITHM") for n in draft.notes)


def test_german_is_spelled_and_said_so() -> None:
    draft = PLANNER.draft("Grüße aus Köln, 25 Straßen", "gsg")
    assert glosses(draft) == "fs-GRUESSE fs-AUS fs-KOELN | 25 fs-STRASSEN"
    assert all(s.approximate for s in draft.signs if s.kind != "pause")
    assert "not DGS" in draft.notes[0]


@pytest.mark.parametrize(
    ("text", "language", "message"),
    [
        ("", "ase", "empty"),
        (" \n\t", "ase", "empty"),
        ("a" * (LONGEST_TEXT + 1), "ase", "characters"),
        ("😀 你好", "ase", "nothing in the text can be signed"),
        ("\x00\x01", "ase", "U\\+0000"),
        ("...", "ase", "nothing in the text can be signed"),
        ("hello", "xyz", "unknown"),
        ("[[HELO]]", "ase", "HELLO"),
        ("[[HELLO]", "ase", "brackets"),
        ("HELLO]]", "ase", "brackets"),
        ("[[]]", "ase", "empty"),
        ("[[fs:]]", "ase", "nothing to spell"),
        ("[[fs:你]]", "ase", "nothing to spell"),
        ("hi [[pause]]", "ase", "length"),
        ("hi [[pause 11]]", "ase", "length"),
        ("hi [[pause -1]]", "ase", "length"),
        ("[[pause 1]]", "ase", "nothing"),
    ],
)
def test_bad_input_is_one_clear_sentence(text: str, language: str, message: str) -> None:
    with pytest.raises(StableSignerError, match=message) as error:
        PLANNER.draft(text, language)
    assert "\n" not in str(error.value)


# -- any text --------------------------------------------------------------------------------------

VOCABULARY = """
    the a cat dog I you he she it they is are was have has do did not don't can't won't will would to of
    in on at that who what where if when because and but or no never there John Maria's iPhone 3 25 $5
    3:30 5/5/2024 21st 50% 1999 yesterday ago years old next week took a shower look like used going
    xylophone-ish naïve U.S. e.g. , . ? ! : ; ( ) [[HELLO]] [[fs:Bo]] [[pause 0.3]] 555-123-4567 a@b.co
    http://x.org/q one two hundred May March please yet as soon each other let's been being so too many
    much more most 'tis rock'n'roll what's how been unless
"""
WORDS = st.sampled_from(VOCABULARY.split())


def covered(draft: Draft) -> set[str]:
    stood_for = [s.text for s in draft.signs] + list(draft.dropped)
    return {w for text in stood_for for w in pieces(text)}


def pieces(text: str) -> set[str]:
    """Runs of letters and runs of digits, lower case."""
    return set(re.findall(r"[^\W\d_]+|\d+", text.lower()))


def check(text: str, draft: Draft) -> None:
    """What must hold for every plan."""
    expanded = {p.strip("'") for full in CONTRACTIONS.values() for p in full.split()} | {"n"}
    plain = re.sub(r"\[\[.*?\]\]", " ", text).lower()
    lost = pieces(plain) - covered(draft) - GRAMMAR_WORDS - expanded
    assert not lost
    assert sum(n for _, n in draft.sentences) == len(draft.signs)
    for span in draft.spans:
        assert span.kind in NONMANUALS and 0 <= span.first <= span.last < len(draft.signs)
    for sign in draft.signs:
        assert sign.kind == "pause" or sign.source in ("lexicon", "composed", "phonology", "alphabet")
        assert sign.kind != "fingerspelled" or (sign.parts and sign.gloss.startswith("fs-"))
        for part in sign.parts:
            assert part in PLANNER.glossary
        assert sign.parts or sign.kind == "pause" or sign.gloss in PLANNER.glossary
    plan = timed(draft)
    assert Plan.from_dict(plan.to_dict()) == plan


def timed(draft: Draft) -> Plan:
    """A plan with a second for every sign, for the round trip."""
    signs = [Sign(**{**vars(s), "start": float(i), "end": i + 0.5}) for i, s in enumerate(draft.signs)]
    return Plan(
        draft.text,
        draft.language,
        tuple(signs),
        tuple(Nonmanual(s.kind, float(s.first), s.last + 0.5) for s in draft.spans),
        tuple(Sentence(t, 0.0, 1.0) for t, _ in draft.sentences),
        draft.planner,
        draft.notes,
        draft.dropped,
    )


def draft_or_refuse(text: str, language: str = "ase") -> Draft | None:
    try:
        return PLANNER.draft(text, language)
    except StableSignerError:
        return None


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.lists(WORDS, min_size=1, max_size=14))
def test_any_mix_of_words_loses_nothing(words: Iterable[str]) -> None:
    text = " ".join(words)
    if draft := draft_or_refuse(text):
        check(text, draft)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.text(max_size=80))
def test_any_text_is_planned_or_refused(text: str) -> None:
    if draft := draft_or_refuse(text):
        assert sum(n for _, n in draft.sentences) == len(draft.signs)
    draft_or_refuse(text, "gsg")


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.text(alphabet="aiIt's dnRo.,?!-'\"0123456789:/$%@ éßñ\n", max_size=60))
def test_any_latin_text_loses_nothing(text: str) -> None:
    if draft := draft_or_refuse(text):
        check(text, draft)
