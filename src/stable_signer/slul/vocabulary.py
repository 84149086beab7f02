"""SLUL's vocabulary: pieces of text in, glosses out.

One id space holds markup, BPE pieces of lower-cased text and glosses, and one id for each frequent gloss.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

PAD, EOS, MASK = 0, 1, 2
NONMANUAL_TAGS = {
    "wh-question": "wh",
    "yes-no-question": "yn",
    "negation": "neg",
    "topic": "top",
    "conditional": "cond",
    "relative-clause": "rel",
    "affirmation": "aff",
}
SLOTS = 16
"""How many pieces of one sentence can be copied as they are: <w1> .. <w16>."""
_CONTROL = ("<pad>", "</s>", "<mask>", "<unk>", "<ase>", "<gsg>")
OPEN_TAGS = tuple(f"<{tag}>" for tag in NONMANUAL_TAGS.values())
CLOSE_TAGS = tuple(f"</{tag}>" for tag in NONMANUAL_TAGS.values())
SLOT_NAMES = tuple(f"<w{i}>" for i in range(1, SLOTS + 1))
SPECIALS = (*_CONTROL, *OPEN_TAGS, *CLOSE_TAGS, *SLOT_NAMES)


@dataclass
class Vocabulary:
    """Text to ids, glosses to ids and back.

    Ids: SPECIALS, then the pieces of `bpe`, then `whole` (frequent glosses, one id each). A gloss of
    `glosses` that is not in `whole` is written in pieces, so the output alphabet is small and every known
    gloss can be output. `pieces_of_text` > 0 dropout is subword regularisation (BPE dropout, Provilkov et al.
    2020).
    """

    bpe: Tokenizer
    whole: list[str]
    glosses: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.first_piece = len(SPECIALS)
        self.first_whole = self.first_piece + self.bpe.get_vocab_size()
        self.size = self.first_whole + len(self.whole)
        self.special_ids = {s: i for i, s in enumerate(SPECIALS)}
        self.whole_ids = {g: self.first_whole + i for i, g in enumerate(self.whole)}
        # A vocabulary saved during training carries its dropout: without this, reading would be random.
        self._dropout = getattr(self.bpe.model, "dropout", None) or 0.0
        self._set_dropout(0.0)
        self._surface = {g.lower(): g for g in self.glosses}

    @classmethod
    def build(
        cls, texts: Iterable[str], lines: Iterable[Sequence[str]], pieces: int = 2000, whole_from: int = 3
    ) -> Vocabulary:
        """Learn the pieces from texts and gloss lines; a gloss seen `whole_from` times or more gets its
        own id."""
        lines = [[g for g in line if g not in SPECIALS] for line in lines]
        counts = Counter(g for line in lines for g in line)
        bpe = Tokenizer(models.BPE(unk_token="<unk>"))
        bpe.pre_tokenizer = pre_tokenizers.Metaspace()
        trainer = trainers.BpeTrainer(vocab_size=pieces, special_tokens=["<unk>"], show_progress=False)
        words = [" ".join(w for w in text.split() if w not in SPECIALS) for text in texts]
        bpe.train_from_iterator([*words, *(" ".join(line).lower() for line in lines)], trainer)
        return cls(bpe, sorted(g for g, n in counts.items() if n >= whole_from), sorted(counts))

    def text_ids(self, text: str, language: str, dropout: float = 0.0) -> list[int]:
        """Ids of a normalised text: language tag, pieces (slots and tags stay whole), end."""
        ids = [self.special_ids[f"<{language}>"]]
        words: list[str] = []
        self._set_dropout(dropout)
        for word in [*text.split(), "</s>"]:
            if word not in self.special_ids:
                words.append(word)
                continue
            if words:
                ids += [
                    self.first_piece + i
                    for i in self.bpe.encode(" ".join(words), add_special_tokens=False).ids
                ]
                words = []
            ids.append(self.special_ids[word])
        return ids

    def gloss_ids(self, gloss: str) -> list[int]:
        """Ids of one gloss or markup token."""
        if gloss in self.special_ids:
            return [self.special_ids[gloss]]
        if gloss in self.whole_ids:
            return [self.whole_ids[gloss]]
        self._set_dropout(0.0)
        return [self.first_piece + i for i in self.bpe.encode(gloss.lower(), add_special_tokens=False).ids]

    def piece(self, token: int) -> str:
        """The text of a BPE id, "▁" in front where a word begins."""
        return self.bpe.id_to_token(token - self.first_piece) or ""

    def line_ids(self, glosses: Sequence[str]) -> list[int]:
        """Ids of a line of glosses, closed by the end token."""
        return [i for g in glosses for i in self.gloss_ids(g)] + [EOS]

    def lines(self, ids: Sequence[int]) -> list[tuple[str, int]]:
        """Back from output ids: (gloss or markup, index of its first id) in order."""
        out: list[tuple[str, int]] = []
        word, start = "", 0
        for index, token in enumerate([*ids, EOS]):
            piece = ""
            if self.first_piece <= token < self.first_whole:
                piece = self.piece(token)
            if word and (not piece or piece.startswith("▁")):
                out.append((self._surface.get(word, word.upper()), start))
                word = ""
            if piece:
                start = index if not word else start
                word += piece.replace("▁", "")
            elif token >= self.first_whole:
                out.append((self.whole[token - self.first_whole], index))
            elif token != EOS:
                out.append((SPECIALS[token], index))
        return out

    def output_mask(self) -> np.ndarray:
        """(V,) bool: ids that a line of glosses and markup can contain."""
        allowed = np.zeros(self.size, dtype=bool)
        allowed[[EOS, *range(len(_CONTROL), len(SPECIALS))]] = True
        for gloss in self.glosses:
            allowed[self.gloss_ids(gloss)] = True
        return allowed

    def _set_dropout(self, dropout: float) -> None:
        if dropout != self._dropout and isinstance(self.bpe.model, models.BPE):
            self.bpe.model.dropout = dropout or None  # slow: it copies the model, hence the check
            self._dropout = dropout

    def to_json(self) -> str:
        """Everything, as one JSON text."""
        return json.dumps(
            {"bpe": json.loads(self.bpe.to_str()), "whole": self.whole, "glosses": self.glosses},
            ensure_ascii=False,
            separators=(",", ":"),
        )

    @classmethod
    def from_json(cls, text: str) -> Vocabulary:
        """Read what `to_json` wrote; KeyError or ValueError when it is something else."""
        data = json.loads(text)
        return cls(Tokenizer.from_str(json.dumps(data["bpe"])), data["whole"], data["glosses"])
