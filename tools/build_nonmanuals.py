"""Make weights/slul-nonmanual.safetensors: topic, mouth and gaze from the linker states of real utterances.

    python tools/build_nonmanuals.py ../shared/data/text_gloss/ncslgr/ncslgr.json [--output FILE] [--seed 0]

Trains on the utterances of NCSLGR's training files as they were signed (the development files that
corpora/ncslgr.py names are never read). Thresholds are the best of a five-fold cross-validation by file over
what SLUL *plans* for the English of the held-out files, since its order is what the head will see; the table
that is printed tells their precision, recall and F1 there, and those of the floor: every sign under the kind.
About three minutes on one core; the same seed and machine give the same bytes.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from stable_signer.corpora.ncslgr import Utterance, read_ncslgr, split
from stable_signer.metrics.text import Spanned, span_scores
from stable_signer.slul.glosses import Glossary
from stable_signer.slul.linker import Linker
from stable_signer.slul.nonmanual_head import ALL_LEARNED as KINDS
from stable_signer.slul.nonmanual_head import HeadConfig, NonmanualHead, runs
from stable_signer.slul.plan import Sign, Span
from stable_signer.slul.planner import SlulPlanner
from stable_signer.slul.tokens import sentences, tokenise

FREQUENT = 4  # times that a gloss is signed in training, to have an embedding
EPOCHS, BATCH, RATE, DECAY = 25, 256, 2e-3, 0.05
FOLDS = 5
STEPS = np.arange(0.1, 0.8, 0.05)


@dataclass(frozen=True)
class Seen:
    """An utterance or a plan for it: glosses, linker states (N, d), whether it asks."""

    glosses: Sequence[str]
    states: np.ndarray
    question: bool
    utterance: Utterance


def as_signed(utterance: Utterance, linker: Linker) -> Seen:
    """An utterance's own signs."""
    signs = [Sign(g, _kind(g)) for g in utterance.glosses]
    grammar = [s for s in utterance.spans if s.kind not in KINDS]
    return Seen(utterance.glosses, linker.of_draft(signs, grammar), _asks(utterance), utterance)


def as_planned(utterance: Utterance, planner: SlulPlanner, linker: Linker) -> Seen | None:
    """What SLUL plans for its English; None for several sentences, or one that the rules took over."""
    if len(sentences(tokenise(utterance.english))) != 1:
        return None
    draft = planner.draft(utterance.english)
    if draft.planner != "slul":
        return None
    grammar = [s for s in draft.spans if s.kind not in KINDS]
    glosses = [s.gloss for s in draft.signs]
    return Seen(glosses, linker.of_draft(draft.signs, grammar), _asks(utterance), utterance)


def _kind(gloss: str) -> str:
    if gloss.startswith("fs-"):
        return "fingerspelled"
    if re.match("(IX|POSS|SELF)-", gloss):
        return "index"
    return "number" if gloss.isdigit() else "lexical"


def _asks(utterance: Utterance) -> bool:
    return utterance.english.endswith("?")


def wanted(utterance: Utterance, kind: str) -> list[Span]:
    """The spans of a kind that the signer made."""
    return [s for s in (*utterance.spans, *utterance.face) if s.kind == kind]


def labels(utterance: Utterance) -> tuple[np.ndarray, np.ndarray]:
    """(N, kinds) whether each sign is under each kind, and whether that is known: not every file has gaze."""
    under = np.zeros((len(utterance.glosses), len(KINDS)), np.float32)
    for column, kind in enumerate(KINDS):
        for span in wanted(utterance, kind):
            under[span.first : span.last + 1, column] = 1
    known = np.ones_like(under)
    known[:, KINDS.index("gaze")] = any(s.kind.startswith("gaze") for s in utterance.face)
    return under, known


def trained(examples: Sequence[Seen], seed: int) -> NonmanualHead:
    """A head for `examples`, thresholds at one half."""
    torch.manual_seed(seed)
    count = Counter(g for e in examples for g in e.glosses)
    glosses = tuple(g for g, n in count.most_common() if n >= FREQUENT)
    width = examples[0].states.shape[1]
    head = NonmanualHead(HeadConfig(width, glosses, KINDS, (0.5,) * len(KINDS)))
    parts = [head.features(e.glosses, e.states, e.question) for e in examples]
    states, places, ids = (torch.cat([p[k] for p in parts]) for k in range(3))
    marks = [labels(e.utterance) for e in examples]
    under, known = (torch.from_numpy(np.concatenate([m[k] for m in marks])) for k in range(2))
    head.mean.copy_(states.flatten(1).mean(0))
    head.scale.copy_(states.flatten(1).std(0) + 1e-3)
    steps = torch.optim.AdamW(head.parameters(), RATE, weight_decay=DECAY)
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(states)).split(BATCH):
            logits = head(states[batch], places[batch], ids[batch])
            loss = binary_cross_entropy_with_logits(logits, under[batch], reduction="none")
            steps.zero_grad()
            (loss * known[batch]).sum(1).mean().backward()
            steps.step()
    return head.eval()


def score(
    likely: Sequence[np.ndarray], seen: Sequence[Seen], kind: str, threshold: float
) -> dict[str, float]:
    """Precision, recall and F1 of a kind's spans at a threshold."""
    column = KINDS.index(kind)
    made, real = [], []
    for p, e in zip(likely, seen, strict=True):
        made.append(Spanned(e.glosses, [(kind, a, b) for a, b in runs(p[:, column] > threshold)]))
        real.append(
            Spanned(e.utterance.glosses, [(kind, s.first, s.last) for s in wanted(e.utterance, kind)])
        )
    return span_scores(made, real)[kind]


def folds(examples: Sequence[Seen], seed: int) -> list[set[str]]:
    """The files of each fold."""
    files = sorted({e.utterance.file for e in examples})
    np.random.default_rng(seed).shuffle(files)
    return [set(files[k::FOLDS]) for k in range(FOLDS)]


def main() -> None:
    """Train, choose thresholds, print what they are worth, save."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("ncslgr", type=Path)
    default = Path("src/stable_signer/weights/slul-nonmanual.safetensors")
    parser.add_argument("--output", type=Path, default=default)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    glossary = Glossary.load()
    planner = SlulPlanner(glossary, learned=())
    linker = Linker(planner.reader)
    train = split(read_ncslgr(options.ncslgr, glossary))[0]
    signed = [as_signed(u, linker) for u in train]
    planned = [p for u in train if (p := as_planned(u, planner, linker))]
    print(f"{len(signed)} utterances, {len(planned)} planned by SLUL", flush=True)
    likely, seen = [], []
    for held in folds(signed, options.seed):
        head = trained([e for e in signed if e.utterance.file not in held], options.seed)
        part = [e for e in planned if e.utterance.file in held]
        likely += [head.probabilities(e.glosses, e.states, e.question) for e in part]
        seen += part
    chosen = []
    print(f"{'kind':8} threshold precision recall   F1  spans  floor F1")
    for kind in KINDS:
        best = max(STEPS, key=lambda t: score(likely, seen, kind, t)["f1"])
        s = score(likely, seen, kind, best)
        floor = score([np.ones_like(p) for p in likely], seen, kind, 0.5)["f1"]
        found = f"{s['precision']:9.1f} {s['recall']:6.1f} {s['f1']:4.1f} {s['support']:6.0f}"
        print(f"{kind:8} {best:9.2f} {found} {floor:9.1f}")
        chosen.append(round(float(best), 2))
    head = trained(signed, options.seed)
    head.config = replace(head.config, thresholds=tuple(chosen))
    head.save(options.output)
    print(f"{options.output}: {options.output.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
