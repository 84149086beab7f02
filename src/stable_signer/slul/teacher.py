# ruff: noqa: E501 - the tables of words and templates read better in long lines
"""The rules as SLUL's teacher: everyday sentences from templates, and training pairs from any English
sentences."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator

from stable_signer.errors import StableSignerError
from stable_signer.slul.grammar import Discourse
from stable_signer.slul.reading import Reader
from stable_signer.slul.rules import RulePlanner
from stable_signer.slul.slots import aligned
from stable_signer.slul.tokens import Token, sentences, tokenise
from stable_signer.slul.train import Example

_WORDS = {
    "subj": "I|you|we|they|my mother|my father|the teacher|the doctor|my friend|John|Maria|the children|my sister|his boss",
    "subj3": "he|she|my mother|my father|the teacher|the doctor|my friend|John|Anna|her brother|the nurse|our neighbor",
    "verb": "buy|see|want|need|like|find|read|sell|bring|lose|remember|forget|watch|clean|paint|carry|open|use|draw|count",
    "verb3": "buys|sees|wants|needs|likes|finds|reads|sells|brings|remembers|forgets|watches|cleans|opens|uses|counts",
    "past": "bought|saw|wanted|needed|liked|found|read|sold|brought|lost|forgot|watched|cleaned|opened|used|painted",
    "part": "bought|seen|found|read|sold|brought|lost|forgotten|watched|cleaned|opened|used|painted",
    "noun": "book|car|house|dog|cat|computer|phone|picture|chair|table|letter|bag|ticket|shirt|coat|box|movie|bike|door|key",
    "person": "teacher|doctor|student|police|boy|girl|woman|man|baby|friend|boss|nurse|lawyer|neighbor",
    "place": "school|work|home|church|the hospital|the store|the library|the bank|the airport|the restaurant|the park",
    "adj": "happy|sad|tired|sick|hungry|angry|busy|late|ready|afraid|bored|proud|deaf|hearing|old|young|rich|beautiful",
    "thingadj": "red|blue|green|new|old|big|small|expensive|cheap|beautiful|broken|good|bad|heavy|black|white|clean|dirty",
    "time": "yesterday|today|tomorrow|last week|next week|last year|next month|now|tonight|on Monday|every day|this morning",
    "go": "go|drive|walk|fly|run|travel|move|come",
    "went": "went|drove|walked|flew|ran|moved|came",
    "ing": "reading|working|eating|sleeping|studying|cooking|driving|playing|waiting|swimming|writing|dancing|cleaning",
    "act": "work|eat|sleep|study|cook|drive|play|wait|swim|write|dance|help|sign|learn|stop|leave|stay|rest|practice",
    "food": "pizza|coffee|tea|water|milk|bread|fish|chicken|apples|cheese|soup|chocolate|eggs|rice|fruit",
    "num": "two|three|four|five|six|ten|12|20|25",
    "weather": "rains|snows|is cold|is hot|is warm",
    "prep": "in|on|under|behind|near",
    "rel": "mother|father|sister|brother|son|daughter|wife|husband|aunt|uncle|grandmother|family",
}
_TEMPLATES = """{subj} {past} a {noun} {time}.|{subj3} {verb3} the {thingadj} {noun}.|{subj} will {verb} a
{noun} {time}.
I don't like the {noun}.|{subj3} doesn't {verb} {food}.|{subj} did not {verb} the {noun}.|We can't {act}
{time}.
Do you {verb} the {noun}?|Did {subj} {verb} the {noun} {time}?|Are you {adj}?|Is {subj3} {adj}?|Is your
{rel} {adj}?
Will {subj3} {act} {time}?|Can you {act} {time}?|Have you {part} the {noun}?|Do you want {food}?|Does
{subj3} {act}?
What did {subj3} {verb} {time}?|What do you {verb}?|What is {subj3} {ing}?|Where is the {noun}?|Where do
you {act}?
Where did {subj} {go} {time}?|Who {past} the {noun}?|Who will {verb} the {noun} {time}?|When will {subj3}
{act}?
When did {subj} {go} to {place}?|Why is {subj3} {adj}?|Why did {subj3} {verb} the {noun}?|Why are you {ing}?
How many {noun}s do you have?|How old is your {rel}?|How much is the {noun}?|How is your {rel}?|Which
{noun} do you {verb}?
If it {weather}, I will {act}.|If it {weather} {time}, we will not {go} to {place}.|If {subj3} {verb3} the
{noun}, I will be {adj}.
If you are {adj}, you should {act}.|When I am {adj}, I {act}.|When it {weather}, {subj3} stays home.|I
{went} to {place} {time}.
{subj} must {go} to {place} {time}.|{subj3} is {ing} {time}.|{subj3} was {ing} when I {went} to {place}.|My
{rel} is a {person}.
My {rel} has {num} {noun}s.|{subj3} has a {thingadj} {noun}.|The {noun} is {thingadj}.|The {noun} is not
{thingadj}.
The {noun} is {prep} the table.|I have never {part} a {thingadj} {noun}.|I have {part} the {noun}.|{subj3}
has not {part} the {noun}.
I think {subj3} is {adj}.|I know that the {person} is {adj}.|I hope you {act} {time}.|I am {adj} because my
{rel} is {adj}.
I like {food} and {food}.|{subj} want to {act}, but I am {adj}.|Please bring me the {noun}.|Please
{act}.|Don't {act} {time}.
Thank you for the {noun}.|My name is John.|What is your name?|I live near {place}.|{subj} should {verb} a
{noun}.
{subj} may {act} {time}.|{subj} and {subj3} {past} {food}.|The {person} who {past} the {noun} is {adj}.|I
am going to {act} {time}.
{time} I {past} {num} {noun}s.|{time}, {subj3} will {go} to {place}.|There are {num} {noun}s in {place}.|I
need {num} {food} {time}.
I have to {act} {time}.|I want you to {act}.|{subj3} told me that the {noun} is {thingadj}.|Can I {act}
here?|May I {verb} the {noun}?
Yes, I {verb} the {noun}.|No, I don't {act}.|Nobody {past} the {noun}.|I have no {food}.|{subj} finished
{ing} {time}.
I started {ing} {num} years ago.|My {rel} {past} my {noun}.|Whose {noun} is that?|That {noun} is mine.|It
is {thingadj}.
I am {num} years old.|{subj3} always {verb3} {food}.|{subj3} never {verb3} the {noun}.|We often {go} to
{place}.|I really like your {noun}.
I feel {adj} {time}.|Your {rel} looks {adj}.|I met your {rel} {time}.|{subj3} works at {place}.|Where does
your {rel} work?
What time is it?|What time does the {noun} open?|The class starts at 9:30.|How do you {act}?|How did
{subj3} {verb} the {noun}?"""


def everyday(count: int, seed: int = 0) -> Iterator[str]:
    """`count` English sentences from templates: statements, questions, negation, conditions, time,
    numbers."""
    draw = random.Random(seed)
    templates = [t for line in _TEMPLATES.splitlines() for t in line.split("|")]
    words = {k: v.split("|") for k, v in _WORDS.items()}
    for _ in range(count):
        text = re.sub(r"\{(\w+)\}", lambda m: draw.choice(words[m[1]]), draw.choice(templates))
        yield text[0].upper() + text[1:]


def rule_pairs(planner: RulePlanner, texts: Iterable[str], weight: float = 1.0) -> Iterator[Example]:
    """A training pair for each sentence of `texts` that the rules plan and that fits in slots."""
    for text in texts:
        for tokens in sentences(tokenise(text)):
            question, end = end_of(tokens)
            try:
                signs, spans = planner._sentence(list(tokens), Discourse())
            except StableSignerError:  # a sentence that the rules refuse cannot teach
                continue
            items = Reader(planner.glossary, list(tokens), question).items()
            signed = [k for k, s in enumerate(signs) if s.kind != "pause"]
            moved = [type(s)(s.kind, bisect(signed, s.first), bisect(signed, s.last + 1) - 1) for s in spans]
            pair = aligned(items, end, [signs[k].gloss for k in signed], moved)
            if pair and len(pair[0].required) >= sum(i.tag != "COMMA" and bool(i.signs) for i in items) // 3:
                yield Example(pair[0].text, pair[1], "ase", weight)


def bisect(values: list[int], limit: int) -> int:
    """How many of the ascending `values` are below `limit`."""
    return sum(v < limit for v in values)


def end_of(tokens: list[Token]) -> tuple[bool, str]:
    """(is it a question, the mark that closes it: . ? or !)."""
    question = any(t.kind == "end" and "?" in t.text for t in tokens[-2:])
    shout = any(t.kind == "end" and "!" in t.text for t in tokens[-1:])
    return question, "?" if question else "!" if shout else "."
