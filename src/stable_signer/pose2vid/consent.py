"""The card of a filmed signer: who is seen, what they consented to, and under which licence.

Nothing is learned from footage without it. It is copied beside the weights: without it they draw nothing.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from datetime import date
from pathlib import Path

from stable_signer.errors import StableSignerError

ASKED = {
    "name": "the signer's name, or the one that they wish to be known by",
    "consent": "in words, what they agreed to",
    "licence": "of the footage and of what is learned from it, e.g. CC-BY-4.0",
    "consent_by": "who gave it: the signer, or their guardian",
    "consent_on": "when, YYYY-MM-DD",
}
EXAMPLE = '{"name": ..., "consent": ..., "licence": ..., "consent_by": ..., "consent_on": "2026-11-27"}'
LONGEST = 20_000  # characters of a card


@dataclass(frozen=True)
class ConsentCard:
    """A filmed signer's card; every field is text, see ASKED. consent_on: ISO date, not after today."""

    name: str
    consent: str
    licence: str
    consent_by: str
    consent_on: str

    @staticmethod
    def load(path: str | Path) -> ConsentCard:
        """Read a JSON file. Raises StableSignerError, saying what is missing, for any other content."""
        try:
            text = Path(path).read_text(encoding="utf-8")
            data = json.loads(text[:LONGEST])
        except OSError as error:
            raise StableSignerError(
                f"the signer's card {path} cannot be read ({error.strerror}): write one as {EXAMPLE}"
            ) from error
        except ValueError as error:
            raise StableSignerError(f"the signer's card {path} is not JSON: write it as {EXAMPLE}") from error
        if not isinstance(data, dict):
            raise StableSignerError(f"the signer's card {path} is no JSON object: write it as {EXAMPLE}")
        for key, meaning in ASKED.items():
            if not isinstance(data.get(key), str) or not data[key].strip():
                raise StableSignerError(
                    f"the signer's card {path} has no {key} ({meaning}): "
                    "nothing is learned or drawn without it"
                )
        unknown = sorted(set(data) - set(ASKED))
        if unknown:
            raise StableSignerError(
                f"the signer's card {path} has an unknown key {unknown[0]!r}: known are {', '.join(ASKED)}"
            )
        try:
            given = date.fromisoformat(data["consent_on"].strip())
        except ValueError as error:
            raise StableSignerError(
                f"the signer's card {path}: consent_on is no date ({data['consent_on']!r}): write YYYY-MM-DD"
            ) from error
        if given > date.today():
            raise StableSignerError(
                f"the signer's card {path}: consent_on {given} is still to come: give the day it was given"
            )
        return ConsentCard(**{f.name: data[f.name].strip() for f in fields(ConsentCard)})

    def json(self) -> str:
        """The card as a JSON file's text."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n"
