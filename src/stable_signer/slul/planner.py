"""SLUL in the product: a planner with the interface of `rules.RulePlanner`, and with the rules as its
safety net.

ASL: every sentence is read by the rules' reader (words, names, numbers, the author's own signs), ordered and
given its non-manuals by SLUL, and checked; a sentence that SLUL cannot plan is planned by the rules, and the
notes say why. German: `german` gives DGS glosses in the vocabulary of weather forecasts, for evaluation and
research; the product has no DGS lexicon to sign them with, so its plans of German stay with the rules (every
word spelled).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from importlib import resources
from itertools import groupby
from pathlib import Path

from torch import Tensor

from stable_signer.errors import StableSignerError
from stable_signer.slul import english as en
from stable_signer.slul.decode import BeamConfig, GlossTrie, Hypothesis, Reader, beam_search
from stable_signer.slul.glosses import Glossary
from stable_signer.slul.grammar import FUSED, NEGATIVE, Discourse, _join_negation, _light_verbs
from stable_signer.slul.linker import Linker
from stable_signer.slul.model import Checkpoint
from stable_signer.slul.nonmanual_head import ALL_LEARNED, GRAMMAR, NonmanualHead
from stable_signer.slul.plan import Draft, Sign, Span
from stable_signer.slul.reading import Item
from stable_signer.slul.reading import Reader as TextReader
from stable_signer.slul.relative import relative_clause
from stable_signer.slul.rules import RulePlanner
from stable_signer.slul.slots import ADDED, CONTENT, DOMAIN, TRUSTED, Slotted, SlotTrie, signed, slotted
from stable_signer.slul.teacher import end_of
from stable_signer.slul.text import normalise_german
from stable_signer.slul.tokens import Token

WEIGHTS = {"ase": "slul-ase.safetensors", "gsg": "slul-gsg.safetensors"}
ASL_BEAM = BeamConfig(beams=4, reward=0.0)
TOPICAL = frozenset({"NOUN", "NAME", "TIME", "NUM", "X"})
DGS_BEAM = BeamConfig(beams=5, reward=1.6, expected=(0.403, 1.978))
"""The expected length is fitted on Phoenix14T's train split; the reward was chosen on its dev split."""


def load_reader(language: str, path: str | Path | None = None) -> Reader:
    """SLUL for `language`, from `path` or from the package; StableSignerError when it is missing or
    another's."""
    if path is None and language not in WEIGHTS:
        raise StableSignerError(f"SLUL ships no weights for {language!r}: use one of {', '.join(WEIGHTS)}")
    file = Path(path) if path else Path(str(resources.files("stable_signer.weights") / WEIGHTS[language]))
    checkpoint = Checkpoint.load(file)
    if language not in checkpoint.config.languages:
        raise StableSignerError(
            f"{file.name} was trained for {', '.join(checkpoint.config.languages)}, not for {language}: "
            "give weights of that language"
        )
    return Reader(checkpoint)


class SlulPlanner(RulePlanner):
    """Turns text into a Draft with SLUL; `weights` names another file than the one that ships.

    `draft` has the meaning and the errors of RulePlanner.draft. `planner` in the draft is "slul" when at
    least one sentence is SLUL's, otherwise "rules"; each sentence that the rules took over has a note with
    the reason. After a draft, `linker` holds for each of SLUL's sentences its decoder states (items, d), for
    SLP-MoE; every thread has its own. `learned`: the kinds of spans that the non-manual head adds, of
    `nonmanual_head.ALL_LEARNED`; with other weights than those that ship it adds none.
    """

    def __init__(
        self,
        glossary: Glossary,
        weights: str | Path | None = None,
        learned: Sequence[str] = GRAMMAR,
    ) -> None:
        super().__init__(glossary)
        self.weights, self.learned = weights, learned
        self._of_thread = threading.local()

    @cached_property
    def reader(self) -> Reader:
        """SLUL for ASL, loaded when it is first needed."""
        return load_reader("ase", self.weights)

    @cached_property
    def head(self) -> NonmanualHead:
        """The non-manual head on the states of the SLUL that ships."""
        return NonmanualHead.load()

    @property
    def linker(self) -> list[Tensor]:
        """The decoder states of the last draft of this thread."""
        return getattr(self._of_thread, "linker", [])

    def draft(self, text: str, language: str = "ase") -> Draft:
        """The plan of `text` without times; see RulePlanner.draft for language and errors."""
        self._of_thread.linker, self._of_thread.reasons = [], []
        if language == "gsg":
            self._of_thread.reasons.append(
                "SLUL's DGS glosses cannot be signed here yet: the rules spell the German text"
            )
        made = super().draft(text, language)
        return replace(
            made, planner="slul" if self.linker else "rules", notes=(*made.notes, *self._of_thread.reasons)
        )

    def _sentence(self, tokens: list[Token], said: Discourse) -> tuple[list[Sign], list[Span]]:
        found = self._learned(tokens)
        if not isinstance(found, str):
            return found
        text = " ".join(t.text for t in tokens if t.kind != "end")
        self._of_thread.reasons.append(f"the rules took over {text[:60]!r}: {found}")
        return super()._sentence(tokens, said)

    def _learned(self, tokens: list[Token]) -> tuple[list[Sign], list[Span]] | str:
        """SLUL's signs and spans of one sentence, or the reason why the rules should plan it."""
        question, end = end_of(tokens)
        items = _join_negation(TextReader(self.glossary, list(tokens), question).items(), self._sign)
        _light_verbs(items)
        sentence = slotted(items, end)
        reason = _unsuited(items, sentence, question)
        if reason or sentence is None:
            return reason
        ids = self.reader.vocabulary.text_ids(f"{DOMAIN} {sentence.text}", "ase")
        added = TRUSTED if _past(items) else frozenset[str]()
        hypotheses = beam_search(
            self.reader, ids, SlotTrie(self.reader.vocabulary, sentence, added), ASL_BEAM
        )
        if not hypotheses:
            return "SLUL found no complete plan"
        best = hypotheses[0]
        signs, spans = signed(
            best.glosses, sentence, {g: self._sign(g, "") for g in best.glosses if g in ADDED}
        )
        lost = uncovered(items, signs)
        if lost:
            return f"SLUL left out {', '.join(lost)}"
        signs, spans = _fused(signs, spans, self._sign)
        spans = faced(items, signs, spans, question)
        spans = [s for s in self._read_face(signs, spans, question) if not _empty_topic(s, signs, items)]
        self._of_thread.linker.append(best.states)
        if end == "!":
            spans.append(Span("intensity", len(signs) - 1, len(signs) - 1))
        return signs, spans

    def _read_face(self, signs: list[Sign], spans: list[Span], question: bool) -> list[Span]:
        """`spans` with those that the non-manual head reads from the linker states of `signs`."""
        if not self.learned or self.weights is not None:  # its inputs are the states of the shipped weights
            return spans
        kept = [s for s in spans if s.kind not in self.learned]
        known = [s for s in kept if s.kind not in self.head.config.kinds]
        states = Linker(self.reader).of_draft(signs, known)
        return kept + self.head.spans([s.gloss for s in signs], states, question, self.learned)


def planner_of(name: str, glossary: Glossary, weights: str | Path | None = None) -> RulePlanner:
    """The planner "slul", "slul-face" (with all that the head has learned) or "rules"; `weights`: SLUL's."""
    if name == "rules":
        return RulePlanner(glossary)
    return SlulPlanner(glossary, weights, ALL_LEARNED if name == "slul-face" else GRAMMAR)


def uncovered(items: list[Item], signs: list[Sign]) -> list[str]:
    """The words of content items none of whose signs are among `signs`: the check that nothing is lost."""
    made = {id(s) for s in signs}
    return [i.text for i in items if i.tag in CONTENT and i.signs and not any(id(s) in made for s in i.signs)]


def faced(items: list[Item], signs: list[Sign], spans: list[Span], question: bool) -> list[Span]:
    """`spans` with the grammar that a sentence cannot do without: a question's brows, a negation's headshake.

    A question without its face would be a statement, and a statement with it a question, so SLUL's spans of
    these kinds are kept to what the text says, and made where they are missing. The headshake goes from the
    negative sign to the end, but not over the question sign; what SLUL learned from 134 negations is less
    sure than that.
    """
    asking = ("wh-question", "yes-no-question")
    kept = [s for s in spans if s.kind != "negation" and (question or s.kind not in asking)]
    if question:
        meant = _question_kind(items)
        kept = [replace(s, kind=meant) if meant and s.kind in asking else s for s in kept]
        if not any(s.kind in asking for s in kept):
            kept.append(Span(meant or asking[1], 0, len(signs) - 1))
    denied = next((k for k, s in enumerate(signs) if s.gloss in NEGATIVE), None)
    if denied is not None:
        asked = {id(s) for i in items if i.tag == "WH" for s in i.signs}
        end = next(
            (k - 1 for k in range(denied + 1, len(signs)) if question and id(signs[k]) in asked),
            len(signs) - 1,
        )
        kept.append(Span("negation", denied, max(denied, end)))
    degree = {
        id(s) for i in items if i.tag == "ADV" and i.word in en.DEGREE for s in i.signs if s.gloss != "ALSO"
    }
    kept += [Span("intensity", k, min(k + 1, len(signs) - 1)) for k, s in enumerate(signs) if id(s) in degree]
    return kept


def _empty_topic(span: Span, signs: list[Sign], items: list[Item]) -> bool:
    """Whether a topic has nothing under it that a sentence could be about: only pointing, or PLEASE."""
    topical = {id(s) for i in items if i.tag in TOPICAL for s in i.signs}
    return span.kind == "topic" and not any(id(s) in topical for s in signs[span.first : span.last + 1])


def _question_kind(items: list[Item]) -> str:
    """What a question must be by its first word; "" when it could be either ("Do you know what it is?")."""
    first = next(
        (i for i in items if i.tag not in ("INTJ", "COMMA", "CONJ", "PREP", "TIME", "SILENT")), items[0]
    )
    if first.tag == "WH":
        return "wh-question"
    return "" if any(i.tag == "WH" for i in items) else "yes-no-question"


def _past(items: list[Item]) -> bool:
    """Whether the sentence tells of something over: only then may SLUL add FINISH or PAST."""
    return any(
        i.word in en.PAST_BE | {"did", "had"}
        or i.tag == "PERFECT"
        or (i.tag == "VERB" and en.verb_form(i.word) == "past")
        for i in items
    )


def _unsuited(items: list[Item], sentence: Slotted | None, question: bool) -> str:
    """Why SLUL should not try a sentence; "" when it should."""
    if any(i.tag in ("IF", "WHEN") for i in items):
        return "conditions and time clauses are shown better by the rules"
    pieces = (list(piece) for comma, piece in groupby(items, lambda i: i.tag == "COMMA") if not comma)
    if any(map(relative_clause, pieces)):
        return "relative clauses are shown better by the rules"
    if question and any(i.tag == "COMMA" for i in items):
        return "the rules know which part of it is the question"
    if question and any(i.tag == "NOT" for i in items):
        return "the rules put the negation of a question in its place"
    if any(i.word.startswith("there ") or (i.word == "there" and i.gloss == "HAVE") for i in items):
        return "the rules know what there is from what is there"
    if any(a.word == "in" and b.tag == "NUM" and c.unit for a, b, c in zip(items, items[1:], items[2:])):
        return "the rules tell a time from now from a place"
    if any(s.kind == "pause" for i in items for s in i.signs):
        return "it has a pause of the author's"
    if sentence is None:
        return "it has more signs than SLUL reads at once"
    if len(sentence.items) < 2:
        return "it is too short to have an order"
    return ""


def _fused(
    signs: list[Sign], spans: list[Span], sign: Callable[[str, str], Sign]
) -> tuple[list[Sign], list[Span]]:
    """Neighbours that ASL joins in one sign (NOT WANT -> DONT-WANT), spans moved along."""
    out: list[Sign] = []
    place: list[int] = []
    for item in signs:
        pair = (out[-1].gloss, item.gloss) if out else ("", "")
        if pair in FUSED:
            out[-1] = sign(FUSED[pair], " ".join(t for t in (out[-1].text, item.text) if t))
        else:
            out.append(item)
        place.append(len(out) - 1)
    return out, [Span(s.kind, place[s.first], place[s.last]) for s in spans]


def german(
    reader: Reader, text: str, trie: GlossTrie | None = None, config: BeamConfig = DGS_BEAM
) -> list[Hypothesis]:
    """DGS glosses of one German sentence, n-best; the vocabulary is that of the corpus `reader` was
    trained on."""
    ids = reader.vocabulary.text_ids(normalise_german(text), "gsg")
    return beam_search(reader, ids, trie or GlossTrie(reader.vocabulary, reader.vocabulary.glosses), config)
