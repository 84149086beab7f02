# ruff: noqa: E501 - a regular expression cut in pieces cannot be read
"""Prompt2Gloss: from "How do I sign 'the train is late' in ASL?" to the sentence, and how it is to be signed.

A prompt is a frame around a sentence. The frame is found by its grammar (a request, an expression for sign
language), not by a list of whole templates, so that wordings never seen are understood; a sentence in quotes
inside a frame is taken as it is. A text without a frame is returned unchanged: a plain sentence may well
speak about signing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_LANGUAGE = r"(?:(?:the |american |german )*sign[- ]?language|asl|dgs|signing|signs?|(?:hand )?gestures?)"
_IN = rf"(?:in|into|to|with|using|through|via|by means of)\s+{_LANGUAGE}"
_SIGNS = (
    rf"(?:{_LANGUAGE}|signal|signs?)(?:\s+(?:\w+\s+)?(?:sign|translation|equivalent|rendition|version|gesture|form|"
    r"representation|interpretation|counterpart|expression|term|word))?"
)
_SHOW = (
    r"(?:show|demonstrate|display|exhibit|present|represent|express|sign|say|translate|render|illustrate|perform|"
    r"give|convey|communicate|articulate|interpret|put|produce|enact|depict|portray|gesture|spell)"
)
_TELL = (
    r"(?:show|teach|tell|instruct|educate|enlighten|inform|explain|help|assist|guide|let|elucidate|explicate|illustrate|"
    r"demonstrate|describe|learn|know|see|understand|find out)"
)
_ASK = (
    r"(?:(?:please\s+)?(?:can|could|would|will|may|might)\s+(?:you|i|we|someone|anyone|one)|please|kindly|i|we|do you|"
    r"show|teach|tell|explain|help|give|let|sign|translate|demonstrate|how|what|what's|whats|is there|which)"
)
_HOW = (
    r"how\s+(?:to|(?:do|does|would|might|could|can|should|may|shall|did|will)\s+(?:i|you|we|one|someone|signers|"
    r"people|deaf people|a deaf person|they)|(?:i|you|we|one|people|signers)(?:\s+(?:can|could|would|might|should|do))?)"
)
_WHERE_TO_BEGIN = rf"(?:{_ASK}\b(?:(?!\bhow\b|\bwhat\b|[?!:]).)*?\b)??"
_TO_THE_SIGN = rf"(?:{_ASK}\b(?:(?!\bfor\b|[?!:]).)*?\b)??"
_DONE = (
    r"(?:is|are|gets?|was|would be|can be|could be|might be|should be|be|looks?|appears?|works?|goes|comes|sounds?|"
    r"[a-z]+(?:izes|ises|ests|ears))"
)

# Each frame has one group `core`; tried in order, case ignored. What comes after the core must be a tail.
_ADVERB = r"(?:\s+(?!in\b|to\b|is\b)[a-z]+ly)?"
_TAIL = (
    rf"(?:\s*{_DONE}{_ADVERB}(?:\s+like)?(?:\s+(?:[a-z]+(?:ed|wn|id|ne|en|nt|ut))(?:\s+out)?)?(?:\s+{_IN})?|\s+{_IN}|)"
    r"(?:\s+(?:to|for)\s+me)?(?:,?\s+please)?"
)
_FRAMES = tuple(
    re.compile(f"^{p}$", re.IGNORECASE | re.DOTALL)
    for p in (
        # ... how CORE! is said in sign language: a closed sentence inside the frame is unmistakable
        rf"{_WHERE_TO_BEGIN}(?:how|what)\s+(?:(?:would|does|could|might)\s+)?(?P<core>\S.*?[.?!])\s+(?P<done>{_DONE}\b.*{_IN})",
        # how do I sign CORE in ASL; ... learn how one expresses CORE in sign language
        rf"{_WHERE_TO_BEGIN}{_HOW}{_ADVERB}\s+(?!is\b|are\b)(?P<verb>[a-z]+)\s+(?:out\s+)?(?P<core>.+?)"
        rf"(?:\s+(?P<where>{_IN})(?:\s+(?:to|for)\s+me)?)?(?:,?\s+please)?",
        # how is CORE signed; what does CORE look like in sign language; ... how CORE is expressed in sign
        # language
        rf"{_WHERE_TO_BEGIN}how\s+(?:is|are|would|does)\s+(?P<core>.+?)\s+(?:be\s+|get\s+|look\s+)?(?:like\s+)?"
        rf"(?P<done>(?:[a-z]+ly\s+)?(?:signed|(?:[a-z]+(?:ed|wn|id|ne|en|nt|ut)|look|appear)?\s*{_IN}))",
        rf"{_WHERE_TO_BEGIN}what\s+(?:does|do|would|might|could)\s+(?P<core>.+?)\s+(?:look|appear|be)(?:\s+like)?"
        rf"\s+(?P<done>{_IN}|signed|when signed)",
        rf"{_WHERE_TO_BEGIN}(?:how|what)\s+(?P<core>.+?)\s+(?P<done>{_DONE}{_ADVERB}(?:\s+like)?\s+"
        rf"(?:(?:[a-z]+(?:ed|wn|id|ne|en|nt|ut)\s+)?(?:out\s+)?{_IN}|signed|when signed))",
        # the sign (language) for CORE
        rf"{_TO_THE_SIGN}(?:how\s+(?:is|are)\s+)?(?:the|a|any)?\s*(?P<sign>{_SIGNS}|(?:visual\s+)?representation\s+{_IN}|"
        rf"translation\s+{_IN})\s+(?:for|of)\s+(?P<core>.+?)"
        rf"(?:\s+(?:(?:looks?|appears?)\s+like|look|appear|(?:is\s+)?[a-z]+(?:ed|wn|ne)(?:\s+{_IN})?|{_IN}))?(?:,?\s+please)?",
        # can you sign CORE; please show me CORE in sign language; translate CORE into ASL
        rf"(?:(?:please\s+)?(?:can|could|would|will)\s+(?:you|someone|anyone|i|we)\s+(?:please\s+|kindly\s+|mind\s+)?|please,?\s+|"
        rf"kindly\s+|i(?:'d| would)?\s+(?:\w+\s+){{1,3}}?(?:to\s+)?|(?:\w+\s+){{0,3}}me\s+(?:to\s+)?)?"
        rf"(?:{_TELL}\s+me\s+(?:to\s+|about\s+)?)?(?P<show>{_SHOW}|see|have|watch|need)(?:ing)?\s+(?:me\s+)?(?P<core>.+?)\s+"
        rf"(?P<where>{_IN})(?:\s+(?:to|for)\s+me)?(?:,?\s+please)?",
        # please sign: CORE / sign this: CORE
        r"(?:please\s+|can you\s+|could you\s+)?(?:sign|translate|interpret|show me|show)"
        rf"(?:\s+(?:this|the following|this sentence|the sentence|it))?(?:\s+{_IN})?\s*[:\-–]\s*(?P<core>.+)",
    )
)
_GERMAN_IN = r"(?:in|mit|auf)\s+(?:der\s+)?(?:deutscher?n?\s+)?(?:gebärdensprache|gebärden|dgs)"
_GERMAN_OPEN = (
    r"(?:bitte|kannst|können|könnten|könntest|würden|würdest|zeig\w*|ich|mich|wie|was|welche\w*|gebärde\w*|"
    r"übersetz\w*|sag\w*|erklär\w*|gibt|bring\w*|wir|darf)"
)
_GERMAN_VERB = r"(?:[a-zäöüß]+(?:t|en|st|e)|sage|gebärde)"
_GERMAN_FRAMES = tuple(
    re.compile(f"^{p}$", re.IGNORECASE | re.DOTALL)
    for p in (
        # ... how CORE! is said in sign language: a closed sentence inside the frame is unmistakable
        rf"{_WHERE_TO_BEGIN}(?:how|what)\s+(?:(?:would|does|could|might)\s+)?(?P<core>\S.*?[.?!])\s+(?P<done>{_DONE}\b.*{_IN})",
        rf"{_GERMAN_OPEN}\b.*?\bwie\s+(?:man\s+)?(?P<core>(?!man\b|ich\b|sagt\b|würde).+?)\s+{_GERMAN_IN}"
        r"(?:\s+(?:[a-zäöüß]+\s+)?(?:wird|werden|aussieht|aus|heißt|[a-zäöüß]+t))?",
        rf"(?:{_GERMAN_OPEN}\b.*?\b)??wie\s+(?:{_GERMAN_VERB}|sieht)\s+(?:man|ich|wir|sie|du|die\s+gebärde(?:nsprache)?\s+für)\s+"
        rf"(?:das\s+)?(?P<core>.+?)(?:\s+{_GERMAN_IN})?(?:\s+(?:aus|dar|vor|gebärden|sagen|ausdrücken|darstellen|zeigen|lernen))?",
        rf"(?:{_GERMAN_OPEN}\b.*?\b)??wie\s+(?:wird|werden|sieht|heißt|lautet)\s+(?P<core>.+?)\s+"
        rf"(?:{_GERMAN_IN}(?:\s+[a-zäöüß]+)?|gebärdet)",
        r"(?:.*?\b)??wie\s+(?:man|ich)\s+(?P<core>.+?)\s+gebärde[nt]?",
        rf"(?:{_GERMAN_OPEN}\b.*?\b)??(?:die|eine|der)\s+gebärde(?:n|nsprache)?\s+für\s+(?P<core>.+?)"
        r"(?:\s+(?:aus|zeigen|vorführen|lernen|sehen|beibringen|demonstrieren|zu\s+\w+|vormachen|aussieht))?",
        rf"(?:{_GERMAN_OPEN}\b[^„]*?)\s+(?:(?:sie|du|mir|uns|bitte|beibringen|übersetze\w*|zeig\w*)\s+)*(?P<core>.+?)\s+{_GERMAN_IN}(?:\s+(?:zu\s+)?"
        r"[a-zäöüß]+)?",
    )
)
_FOLLOW_UP = re.compile(
    r"(?<=[.?!'\"”’»,])[\s,.?!]*\b(?:(?:can|could|would|will|might)\s+you\b(?:(?!sign for|how to).)*|"
    r"(?:please|kindly)\s+(?:show|help|teach|demonstrate)\b[^'\"]{0,40}|thank(?:s| you)[^'\"]{0,20}|"
    r"(?:kannst du|können sie|könnten sie|bitte zeig\w*)\b[^'\"]{0,40}|danke[^'\"]{0,12})[.?!]*$",
    re.IGNORECASE,
)
_GREETING = re.compile(
    r"^(?:hi|hello|hey|excuse me|hallo|entschuldigung|guten tag)\b[\s,.!]+(?:there[\s,.!]+)?", re.IGNORECASE
)
_QUOTES = (("'", "'"), ('"', '"'), ("“", "”"), ("‘", "’"), ("«", "»"), ("„", "“"), ("‚", "‘"), ("`", "`"))
_ASKS = re.compile(
    r"(?:(?:what|where|when|why|who|whose|which|how)(?:'s|'re)?\s+(?:\w+\s+)?(?:is|are|was|were|do|does|did|can|could|will|would|"
    r"should|have|has|many|much|old)\b|(?:do|does|did|can|could|will|would|should|is|are|was|were|have|has|may)\s+"
    r"(?:i|you|he|she|it|we|they|the|your|my|his|her|our|their|this|that|there)\b|"
    r"(?:wo|wer|was|wie|wann|warum|welche\w*)\s+(?:ist|sind|war|geht|heißt|kann|hast|habt|haben|wird)\b)",
    re.IGNORECASE,
)
_ABOUT_SIGNING = re.compile(
    r"\b(?:sign(?:s|ed|ing)?|sign[- ]language|asl|dgs|gestur\w+|signal|gebärde\w*|fingerspell\w*)\b",
    re.IGNORECASE,
)
_FRAME_WORDS = frozenset(
    [
        "the",
        "a",
        "sign",
        "signs",
        "signed",
        "language",
        "for",
        "of",
        "is",
        "are",
        "sage",
        "sagt",
        "ich",
        "wird",
        "man",
        "sie",
        "du",
        "die",
        "das",
        "gebärde",
        "mir",
        "slowly",
        "quickly",
        "fast",
        "please",
        "bitte",
        "say",
        "in",
        "asl",
        "übersetze",
        "übersetzen",
    ]
)
_OPENING = re.compile(rf"^(?:{_ASK}|{_GERMAN_OPEN}|say|display)\b", re.IGNORECASE)
_STYLES: tuple[tuple[str, dict[str, object]], ...] = (
    (r"(?:very|really|extremely|sehr)\s+(?:slowly|slow|langsam)", {"speed": 0.5}),
    (r"slowly|at (?:a )?slow(?:er)? (?:speed|pace)|more slowly|langsam(?:er)?", {"speed": 0.7}),
    (r"(?:very|sehr)\s+(?:quickly|fast|schnell)", {"speed": 1.6}),
    (r"quickly|fast(?:er)?|at (?:a )?(?:fast|quick) (?:speed|pace)|schnell(?:er)?", {"speed": 1.3}),
    (
        r"left[- ]handed|with (?:the|your|my) left hand|mit (?:der )?links|linkshändig|mit der linken hand",
        {"left_handed": True},
    ),
    (r"formally|in (?:a )?formal (?:way|style|manner|register)|formal|förmlich", {"style": "formal"}),
    (r"casually|informally|in (?:a )?casual (?:way|style)|locker", {"style": "casual"}),
    (r"(?:as|like) a child(?: would)?(?: sign| do)?(?: it)?|wie ein kind", {"signer": "child"}),
)


@dataclass(frozen=True)
class Prompt:
    """What a prompt asks for: the bare `text` to sign and how.

    `framed` says that a frame was taken off. `speed` 1 is normal; `left_handed` None when not said;
    `style` "formal",
    "casual" or "" and `signer` "child" or "" are wishes that the caller maps to what it has.
    """

    text: str
    framed: bool = False
    speed: float = 1.0
    left_handed: bool | None = None
    style: str = ""
    signer: str = ""


def read_prompt(text: str) -> Prompt:
    """The sentence in a prompt, and its style; a text without a frame comes back as it is (framed False)."""
    stripped = " ".join(text.split())
    if not _ABOUT_SIGNING.search(stripped):
        return Prompt(text)
    quoted = _quoted(stripped)
    framed = _framed(stripped)
    if framed and quoted:
        # The frame wins when the quotation is only part of its sentence: How do I sign He said 'no'?
        rest = framed.text.replace(quoted[1], " ").lower()
        if quoted[1] in framed.text and not set(re.findall(r"\w+", rest)) <= _FRAME_WORDS:
            return framed
    if quoted:
        before, core, after = quoted
        opening = _GREETING.sub("", before.lstrip(" ,"))
        if _ABOUT_SIGNING.search(f"{before} {after}") and (_OPENING.match(opening) or not before.strip()):
            return _prompt(core, f"{before} {after}")
        return Prompt(text)
    return framed or Prompt(text)


def _framed(text: str) -> Prompt | None:
    """The sentence in a frame without quotation marks, or None."""
    bare, said = _without_style(text)
    bare = _GREETING.sub("", bare)
    cut = _FOLLOW_UP.search(bare)
    if cut and cut.start() > 8 and _ABOUT_SIGNING.search(bare[: cut.start()]):
        bare = bare[: cut.start()]
    bare = re.sub(r"\s*[.?!]$", "", bare.strip())  # the prompt's own mark; the sentence keeps its own
    if not _OPENING.match(bare):
        return None
    for frame in (*_FRAMES, *_GERMAN_FRAMES):
        match = frame.match(bare)
        core = match["core"].strip(" ,") if match else ""
        if match and _is_sentence(core) and _speaks_of_signing(match):
            return _prompt(core, said)
    return None


def _prompt(core: str, outside: str) -> Prompt:
    wishes: dict[str, object] = {}
    for pattern, values in _STYLES:
        if re.search(rf"\b(?:{pattern})\b", outside, re.IGNORECASE):
            wishes = {**values, **wishes}
    core = core.strip()
    if (
        _ASKS.match(core) and core[-1] not in ".?!"
    ):  # "How do I sign where is the station?": the mark did double duty
        core += "?"
    return Prompt(core, True, **wishes)  # type: ignore[arg-type]


def _quoted(text: str) -> tuple[str, str, str] | None:
    """(before, inside, after) of the outermost quotation; apostrophes inside words are not quotes."""
    found = []
    for opening, closing in _QUOTES:
        start = next(
            (
                m.start()
                for m in re.finditer(re.escape(opening), text)
                if m.start() == 0 or not text[m.start() - 1].isalnum()
            ),
            -1,
        )
        ends = [
            m.start()
            for m in re.finditer(re.escape(closing), text)
            if start >= 0 and m.start() > start + 1 and (m.end() == len(text) or not text[m.end()].isalnum())
        ]
        if ends:
            found.append((start, ends[-1]))
    if not found:
        return None
    start, end = min(found)
    return text[:start], text[start + 1 : end], text[end + 1 :]


def _without_style(text: str) -> tuple[str, str]:
    """`text` without style words at the edge of the frame, and those words."""
    said: list[str] = []
    for pattern, _ in _STYLES:
        for edge in (
            rf"[,\s]+(?:and\s+)?(?:{pattern})(?=[\s,]*[.?!]*$)",
            rf"(?<=\bsign)\s+(?:{pattern})(?=\s*:)",
            rf"^(?:please\s+)?(?:{pattern})[,\s]+(?=sign|show|translate|please)",
        ):
            match = re.search(edge, text, re.IGNORECASE)
            if match:
                said.append(match[0])
                text = text[: match.start()] + (" " if match.start() else "") + text[match.end() :]
    return text.strip(), " ".join(said)


def _is_sentence(core: str) -> bool:
    """Whether the core can be what is to be signed, not a rest of the frame ("it", "to", "sign language")."""
    words = re.findall(r"\w+", core.lower())
    return (
        bool(words)
        and words not in (["it"], ["this"], ["that"], ["you"], ["me"], ["for"], ["something"], ["things"])
        and (not re.fullmatch(_LANGUAGE, core.lower()))
        and words[0] not in ("for", "in", "like", "about")
    )


def _speaks_of_signing(match: re.Match[str]) -> bool:
    """Whether the frame (not the core) mentions signing: "How do I say no to my boss" does not."""
    start, end = match.span("core")
    return bool(_ABOUT_SIGNING.search(match.string[:start] + " | " + match.string[end:]))


TEMPLATES = {
    "ase": (
        "How do I sign '{}' in ASL?",
        'Please show me "{}" in sign language.',
        "Sign this: {}",
        "How would a Deaf person sign {}?",
        "What's the ASL sign for {}?",
        "Could you please sign {} in ASL for me?",
        "Translate {} into sign language.",
        "I need to sign {} in ASL, please.",
        "Show me {} in sign language, slowly.",
        "Can you demonstrate how one signs {}?",
        "Hello, how do you say {} in sign language?",
        "What would {} look like in ASL?",
    ),
    "gsg": (
        "Wie gebärdet man „{}“?",
        "Wie sagt man {} in Gebärdensprache?",
        "Zeig mir bitte die Gebärde für {}.",
        "Kannst du mir zeigen, wie man {} in DGS gebärdet?",
        "Wie sieht {} in Gebärdensprache aus?",
        "Bitte übersetze „{}“ in Gebärdensprache.",
    ),
}
"""Prompts of our own around a sentence `{}`."""


def prompts_around(sentence: str, language: str = "ase") -> Iterator[str]:
    """All our templates around `sentence`."""
    for template in TEMPLATES[language]:
        yield template.format(sentence)
