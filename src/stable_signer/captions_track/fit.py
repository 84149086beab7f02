"""Fitting signing into the times of captions.

A caption's signing begins with the caption. When it is longer, it is signed faster, up to a cap; what is
still too long runs over into the gap after it, and at last pushes the next caption back. All is reported.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from stable_signer.captions_track.cues import Cue
from stable_signer.errors import StableSignerError
from stable_signer.pipeline import MAX_CHARACTERS, MAX_SPEED, StableSigner, check_speed
from stable_signer.slul.plan import Plan, Sign

DEFAULT_CAP = 1.5
LEAD = 0.3  # seconds from a caption's start to its first sign, when the hands are up already
HANDS_DOWN = 1.0  # after a gap of this many seconds the hands have to be raised first
APART = 0.25  # least seconds between two captions' signing
TOLERANCE = 0.05  # an overrun that nobody sees


@dataclass(frozen=True)
class Fitted:
    """A caption with its plan, whose times count from the start of the film; `speed` is what it took."""

    cue: Cue
    plan: Plan
    speed: float

    @property
    def start(self) -> float:
        """When its first sign begins."""
        return self.plan.signs[0].start

    @property
    def end(self) -> float:
        """When its last sign ends."""
        return self.plan.signs[-1].end


@dataclass
class Report:
    """What a reader should know: counts, and a line for each caption that is not as timed.

    over: signed beyond the caption's end, in seconds, by line of the file. late: begun after its start.
    unsigned: captions in which nothing can be signed, with the reason.
    """

    captions: int = 0
    sped_up: int = 0
    over: dict[int, float] = field(default_factory=dict)
    late: dict[int, float] = field(default_factory=dict)
    unsigned: dict[int, str] = field(default_factory=dict)
    spelled: dict[str, int] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)

    def lines(self) -> Iterator[str]:
        """Sentences for people."""
        yield f"{self.captions} captions: {self.sped_up} signed faster to fit"
        for line in sorted({*self.over, *self.late}):
            told = []
            if line in self.late:
                told.append(f"begins {self.late[line]:.1f} s late")
            if line in self.over:
                told.append(f"runs {self.over[line]:.1f} s over")
            yield f"line {line}: {', '.join(told)}"
        for line, why in sorted(self.unsigned.items()):
            yield f"line {line}: not signed, because {why}"

    def to_dict(self) -> dict[str, Any]:
        """For `--report`; keys of lines are strings, as JSON wants them."""
        by_line = {
            name: {str(k): round(v, 3) for k, v in getattr(self, name).items()} for name in ("over", "late")
        }
        unsigned = {str(k): v for k, v in self.unsigned.items()}
        return {
            "captions": self.captions,
            "sped_up": self.sped_up,
            **by_line,
            "unsigned": unsigned,
            "spelled": self.spelled,
            "dropped": self.dropped,
        }


def fit_cues(
    engine: StableSigner,
    cues: list[Cue],
    report: Report,
    *,
    language: str,
    speed: float = 1.0,
    cap: float = DEFAULT_CAP,
) -> Iterator[Fitted]:
    """Each caption's plan in the film's time, one after the other; fills `report` on the way.

    speed: the pace where there is time. cap: the fastest pace.
    """
    check_cap(speed, cap)
    busy = -HANDS_DOWN  # until when the hands are taken
    for cue in cues:
        report.captions += 1
        if len(cue.text) > MAX_CHARACTERS:
            report.unsigned[cue.line] = f"it has more than {MAX_CHARACTERS:,} characters"
            continue
        try:
            plan = engine.plan(cue.text, language, speed)
        except StableSignerError as error:
            report.unsigned[cue.line] = str(error)
            continue
        at = max(cue.start, busy + APART)
        lead = None if at - busy > HANDS_DOWN else LEAD
        pace = speed
        for _ in range(2):  # the ways between signs do not shrink in proportion: look once more
            length = _placed(plan, at, lead).signs[-1].end - at
            wanted = min(cap, MAX_SPEED, pace * length / max(cue.end - at, 0.1))
            if wanted <= pace + 0.02:
                break
            pace = wanted
            plan = engine.plan(cue.text, language, pace)
        fitted = Fitted(cue, _placed(plan, at, lead), pace)
        busy = fitted.end
        _note(report, fitted, speed)
        yield fitted


def check_cap(speed: float, cap: float) -> None:
    """Refuse paces that do not work, and a cap below the pace."""
    if not check_speed(speed) <= check_speed(cap):
        raise StableSignerError(f"the cap {cap:g} is below the speed {speed:g}: give a higher --max-speed")


def _placed(plan: Plan, at: float, lead: float | None) -> Plan:
    """The plan from `at` on; `lead` shortens the time before its first sign."""
    first = plan.signs[0].start
    return plan.shifted(at - (0.0 if lead is None else max(0.0, first - lead)))


def _note(report: Report, fitted: Fitted, speed: float) -> None:
    cue = fitted.cue
    if fitted.speed > speed + 0.02:
        report.sped_up += 1
    over = fitted.end - cue.end
    if over > TOLERANCE:
        report.over[cue.line] = over
    late = fitted.start - LEAD - cue.start
    if late > 0.5:  # less than half a second is the rise of the hands
        report.late[cue.line] = late
    for sign in fitted.plan.signs:
        if sign.source == "alphabet":
            word = sign.text or sign.gloss
            report.spelled[word] = report.spelled.get(word, 0) + 1
    for word in fitted.plan.dropped:
        report.dropped[word] = report.dropped.get(word, 0) + 1


def joined_plan(parts: list[Fitted], start: float, end: float) -> Plan:
    """One plan of several captions in `start` to `end` of the film, with times from `start`.

    It keeps a wish for a hand only when every caption has it: a signer does not change hands in between, and
    one line of a film must not turn its neighbours round.
    """
    first = parts[0].plan
    whole = replace(
        first,
        text=" ".join(p.plan.text for p in parts),
        signs=tuple(s for p in parts for s in p.plan.signs),
        nonmanuals=tuple(n for p in parts for n in p.plan.nonmanuals),
        sentences=tuple(s for p in parts for s in p.plan.sentences),
        notes=(),
        dropped=tuple(d for p in parts for d in p.plan.dropped),
        left_handed=_common_hand(parts),
    ).shifted(-start)
    last = whole.signs[-1].end
    if end - start - last < 0.05:
        return whole
    return replace(whole, signs=(*whole.signs, Sign("PAUSE", "pause", last, end - start, "author")))


def _common_hand(parts: list[Fitted]) -> bool | None:
    wishes = {part.plan.left_handed for part in parts}
    return wishes.pop() if len(wishes) == 1 else None
