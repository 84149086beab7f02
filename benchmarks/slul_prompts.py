# ruff: noqa: E501 - lists of sentences
"""Prompt2Gloss: is the plan from a prompt that was never looked at the plan of its bare sentence?

    python benchmarks/slul_prompts.py --templates shared/data/text_gloss/prompt2sign [--all]

A fifth of Prompt2Sign's templates (by checksum) was held out while the frames in slul/prompts.py were
written; that fifth is what is measured, with 20 sentences each, quotes in them and around them. --all
measures the others too.
"""

from __future__ import annotations

import argparse
from functools import cache
from pathlib import Path

from stable_signer.corpora.prompt2sign import is_held_out, read_templates
from stable_signer.slul.glosses import Glossary
from stable_signer.slul.prompts import read_prompt
from stable_signer.slul.rules import RulePlanner

SENTENCES = (
    "The train is late.", "Where is the station?", "My name is Anna.", "I don't like coffee.", "thank you",
    "How are you?", "He said 'no' to me.", "Do you sign?", "I want to learn how to swim.", "What is the time in Boston?",
    "She's in the hospital with John.", "It's raining, isn't it?", "If it rains, I will stay home.", "good morning",
    "I have 25 books.", "Can you help me?", "My mother bought a red car yesterday.", "Please sit down.",
    "Why are you sad?", "I am not hungry.",
)  # fmt: skip
GERMAN = (
    "Der Zug ist spät.",
    "Wo ist der Bahnhof?",
    "Mein Name ist Anna.",
    "Wie geht es dir?",
    "Morgen regnet es im Norden.",
    "danke",
)
PLAIN = (
    "I want to learn sign language.", "Can you teach me sign language?", "How do I say no to my boss?",
    "How do you sign?", "My sister is learning sign language at school.", "She signed 'thank you' and smiled.",
    "What does the sign say?", "Please sign here.", "How do deaf people talk in sign language?", "Is ASL hard to learn?",
)  # fmt: skip


def main() -> None:
    """Print how many plans are equal, and the prompts that fail."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--templates", type=Path, required=True)
    parser.add_argument("--all", action="store_true")
    options = parser.parse_args()
    planner = RulePlanner(Glossary.load())

    @cache
    def plan(text: str, language: str) -> tuple:
        draft = planner.draft(text, language)
        return draft.signs, draft.spans

    right = count = 0
    for name, language, sentences in (
        ("ASL", "ase", SENTENCES),
        ("LSA", "ase", SENTENCES),
        ("DSGS", "gsg", GERMAN),
    ):
        for template in read_templates(options.templates / f"prompts_{name}.txt"):
            if is_held_out(template) or options.all:
                for sentence in sentences:
                    found = read_prompt(template.format(sentence))
                    same = found.framed and plan(found.text, language) == plan(sentence, language)
                    right, count = right + same, count + 1
                    if not same:
                        print(f"  {template.format(sentence)}  ->  {found.text}")
    print(f"plans equal to those of the bare sentence: {right} of {count} ({100 * right / count:.2f}%)")
    kept = sum(not read_prompt(t).framed for t in PLAIN)
    print(f"plain sentences about signing left alone: {kept} of {len(PLAIN)}")


if __name__ == "__main__":
    main()
