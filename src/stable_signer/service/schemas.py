"""The shape of requests and answers; FastAPI checks them and describes them in `/openapi.json`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from stable_signer.pipeline import DEFAULT_LANGUAGE, DEFAULT_SIZE, MAX_SPEED, MIN_SPEED, QUICK_LOOK


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")  # a misspelled field is told, not ignored


Language = Annotated[str, Field(max_length=20, description="Sign language, see /v1/languages.")]
Speed = Annotated[
    float, Field(ge=MIN_SPEED, le=MAX_SPEED, allow_inf_nan=False, description="Pace; 1 is easy to follow.")
]


class SigningRequest(_Strict):
    """What to sign, who signs, and what comes back. Give `input` (text) or `plan` (JSON), not both."""

    input: str | None = Field(
        None, description="The text; [[GLOSS]], [[fs:Ana]] and [[pause 0.5]] work in it."
    )
    plan: dict[str, Any] | None = Field(
        None, description="A plan, as /v1/plan answers; edited by hand or not."
    )
    model: Literal["stable-signer"] = Field("stable-signer", description="There is one model.")
    language: Language = DEFAULT_LANGUAGE
    signer: str | None = Field(
        None,
        max_length=200,
        description="See /v1/signers; null is the first; maya:0.6,ben:0.4 is a person in between.",
    )
    style: str | None = Field(None, max_length=100, description="See /v1/styles; null is the first.")
    look: Literal["mesh", "soft", "cartoon", "line", "skeleton", "diffusion"] = Field(
        QUICK_LOOK,  # type: ignore[arg-type]
        description="How the signer is drawn; diffusion draws at 256 or 512 pixels, in twice the time.",
    )
    size: int = Field(DEFAULT_SIZE, ge=64, le=2048, multiple_of=2, description="Pixels a side.")
    fps: float = Field(25.0, ge=10, le=60, allow_inf_nan=False, description="Frames a second.")
    speed: Speed = 1.0
    seed: int = Field(0, ge=0, le=2**32 - 1, description="The same seed gives the same video.")
    left_handed: bool | None = Field(
        None, description="Whether the left hand leads; null follows the wish in the text or the plan."
    )
    label: bool = Field(True, description="Draw the words 'synthetic signing' into the picture.")
    response_format: Literal["mp4", "webm", "gif", "pose", "json", "vtt"] = "mp4"
    stream: bool = Field(False, description="Send while it is made; mp4 only.")
    stream_format: Literal["video", "events"] = Field(
        "video", description="video: fragmented mp4. events: server-sent events, one mp4 a sentence."
    )


class PlanRequest(_Strict):
    """A text to understand."""

    input: str
    language: Language = DEFAULT_LANGUAGE
    speed: Speed = 1.0


class EditRequest(_Strict):
    """A plan and what to change in it, one edit after the other."""

    plan: dict[str, Any]
    edits: list[dict[str, Any]] = Field(
        max_length=200,
        description="Each has `op`: replace (at, gloss), spell (at, text), insert (at, gloss), "
        "pause (at, seconds), move (at, to) or remove (at); positions count from 0.",
    )
    speed: Speed = 1.0


class Problem(BaseModel):
    """Why a request was refused (RFC 9457): one sentence in `detail` says what was wrong and what to do."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str


class Gloss(BaseModel):
    """A sign that a plan may name."""

    gloss: str
    kind: str
    words: list[str]
    approximate: bool
    note: str


class Glosses(BaseModel):
    """Signs that fit a search, the best first."""

    glosses: list[Gloss]


class Card(BaseModel):
    """A signer or a style."""

    model_config = ConfigDict(extra="allow")
    id: str
    description: str


class Cards(BaseModel):
    """Signers or styles, the default first."""

    items: list[Card]


class LanguageItem(BaseModel):
    """A sign language and what works in it."""

    id: str
    name: str
    works: str


class Languages(BaseModel):
    """Sign languages, the default first."""

    items: list[LanguageItem]


class Limits(BaseModel):
    """The largest request that is answered."""

    characters: int
    seconds: float
    size: int
    body_bytes: int


class Health(BaseModel):
    """Whether the server lives, and which version it is."""

    status: str
    version: str
