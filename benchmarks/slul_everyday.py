"""200 everyday sentences, outside every corpus, planned by SLUL and by the rules: what to read, and what
can be counted.

    python benchmarks/slul_everyday.py [--weights FILE] [--output plans.md]

Counted by the machine: content words without a sign, questions without a question's face and statements with
one, negations without a headshake, plans that differ. Order has to be read: docs/slul.md tells what the
reading found.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import torch

from stable_signer.slul.glosses import Glossary
from stable_signer.slul.grammar import NEGATIVE
from stable_signer.slul.plan import Draft
from stable_signer.slul.planner import SlulPlanner
from stable_signer.slul.reading import Reader
from stable_signer.slul.rules import RulePlanner
from stable_signer.slul.slots import CONTENT
from stable_signer.slul.tokens import sentences, tokenise

WH_WORDS = {"what", "where", "when", "why", "who", "whose", "which", "how"}
AUXILIARIES = {"do", "does", "did", "is", "are", "can", "will", "have", "should"}
ASKING = {"wh-question", "yes-no-question"}


def lost_words(glossary: Glossary, draft: Draft) -> list[str]:
    """Content words of the text that no sign of the draft stands for."""
    said = " ".join(s.text for s in draft.signs).lower().split()
    out = []
    for tokens in sentences(tokenise(draft.text)):
        for item in Reader(glossary, list(tokens), "?" in tokens[-1].text).items():
            if (
                item.tag in CONTENT
                and item.signs
                and not all(w.lower() in said for w in item.signs[0].text.split())
            ):
                out.append(item.text)
    return out


def face_errors(draft: Draft) -> list[str]:
    """Faces that contradict the text."""
    kinds = {s.kind for s in draft.spans}
    out = []
    first = draft.text.split()[0].lower()
    wrong = "yes-no-question" if first in WH_WORDS else "wh-question" if first in AUXILIARIES else ""
    if wrong in kinds:
        out.append("kind of question")
    if draft.text.endswith("?") != bool(kinds & ASKING):
        out.append("question")
    if any(s.gloss in NEGATIVE for s in draft.signs) and "negation" not in kinds:
        out.append("negation")
    if draft.text.startswith("If ") and "conditional" not in kinds:
        out.append("conditional")
    return out


def line(draft: Draft) -> str:
    """Glosses and spans of a draft for a reader."""
    glosses = " ".join(s.gloss for s in draft.signs if s.kind != "pause")
    return glosses + "".join(f" [{s.kind} {s.first}-{s.last}]" for s in draft.spans)


def main() -> None:
    """Plan all sentences both ways and print the counts; the plans go to --output."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    glossary = Glossary.load()
    planners = {"slul": SlulPlanner(glossary, options.weights), "rules": RulePlanner(glossary)}
    texts = (Path(__file__).parent / "everyday.txt").read_text(encoding="utf-8").splitlines()
    report = []
    counts = {name: {"lost content words": 0, "wrong faces": 0, "taken over": 0} for name in planners}
    times: list[float] = []
    different = 0
    for text in texts:
        drafts = {}
        for name, planner in planners.items():
            began = time.perf_counter()
            drafts[name] = planner.draft(text)
            if name == "slul":
                times.append(time.perf_counter() - began)
            lost, faces = lost_words(glossary, drafts[name]), face_errors(drafts[name])
            counts[name]["lost content words"] += len(lost)
            counts[name]["wrong faces"] += len(faces)
            counts[name]["taken over"] += sum("took over" in n for n in drafts[name].notes)
            report.append(
                f"{name:6} {line(drafts[name])}"
                + f"  LOST {lost}" * bool(lost)
                + f"  FACE {faces}" * bool(faces)
            )
        different += drafts["slul"].signs != drafts["rules"].signs
        report.insert(-2, f"\n{text}")
    for name, found in counts.items():
        print(f"{name}: " + ", ".join(f"{k} {v}" for k, v in found.items()))
    print(f"{different} of {len(texts)} plans have other signs or another order")
    print(f"SLUL, one thread: median {1000 * statistics.median(times[5:]):.0f} ms a sentence")
    if options.output:
        options.output.write_text("\n".join(report).strip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
