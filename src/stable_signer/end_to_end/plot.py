"""The report of `evaluate end-to-end` as a picture: what was read, English over its floor, gains."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from stable_signer.media.files import Outputs

WIDTH, LEFT, RIGHT = 1000, 330, 90  # pixels; names stand left of the bars, figures right of them
LINE, GAP, HEAD = 22, 14, 44
INK, GREY, GRID = "#222222", "#777777", "#dddddd"
OURS, OTHER, BROKEN, FLOOR = "#0b5fa5", "#c1440e", "#9e9e9e", "#2e7d32"

Bar = tuple[str, float, float | None, str]  # name, value, its floor if it has one, colour
Span = tuple[str, float, float, float]  # name, value, lower and upper end of its interval


def plot_report(report: Mapping[str, Any], output: Path) -> None:
    """Write a PNG of a report of `run.evaluate`. Raises StableSignerError when it cannot be written."""
    rows: Mapping[str, Mapping[str, float]] = report["rows"]
    first = next(iter(rows))
    bars: dict[str, list[Bar]] = {
        "Signs read back, first guess, %": [
            (name, 100 * row["sign_top1"], None, _colour(name, first)) for name, row in rows.items()
        ],
        "Glosses, BLEU-1": [(name, row["bleu1"], None, _colour(name, first)) for name, row in rows.items()],
        "English put back from the signs read, the others at the system's word, BLEU-4; "
        "line: the same glosses taken as words": [
            *(
                (name, row["text_bleu4"], row["words_bleu4"], GREY)
                for name, row in report["text_bounds"].items()
            ),
            *(
                (name, row["told_bleu4"], row["told_words_bleu4"], _colour(name, first))
                for name, row in rows.items()
            ),
        ],
    }
    spans = _spans(report)
    heights = [HEAD + LINE * len(found) + GAP for found in bars.values()]
    heights += [HEAD + LINE * len(spans) + GAP] if spans else []
    picture = Image.new("RGB", (WIDTH, HEAD + sum(heights)), "white")
    draw = ImageDraw.Draw(picture)
    made = f", the videos of {report['videos']}" if "videos" in report else ""
    draw.text((12, 12), f"{report['sentences']} sentences{made}, read back", fill=INK, font=_font(17))
    top = HEAD
    for (title, found), height in zip(bars.items(), heights, strict=False):
        _bars(draw, top, title, found)
        top += height
    if spans:
        _intervals(draw, top, "Gain over the rival, %, with its 95% interval", spans)
    with Outputs() as outputs:
        picture.save(outputs.claim(output, (".png",)), "PNG", optimize=True)


def _spans(report: Mapping[str, Any]) -> list[Span]:
    """Gains of BLEU-1 and BLEU-4, from the motion and from the video."""
    found = []
    for key, where in (("gain", ""), ("gain_from_video", ", from the video")):
        for kind, told in report.get(key, {}).items():
            for n in (1, 4) if kind in ("glosses", "text", "told") else ():
                if f"bleu{n}_gain" not in told:  # nothing of that length was read
                    continue
                values = (told[f"bleu{n}_{x}"] for x in ("gain", "low", "high"))
                found.append((f"{kind} BLEU-{n}{where}", *values))
    return found


def _colour(name: str, first: str) -> str:
    """A system's, the first system's, or grey for a row that was spoilt on purpose."""
    system, _, how = name.partition(", ")
    if how and not how.startswith(("from the video", "look")):
        return BROKEN
    return OURS if system == first else OTHER


def _font(size: int) -> Any:
    return ImageFont.load_default(size)


def _bars(draw: ImageDraw.ImageDraw, top: int, title: str, bars: list[Bar]) -> None:
    """Bars from 0; a line across each where its floor is."""
    draw.text((12, top + 8), title, fill=INK, font=_font(13))
    high = max([x for _, value, floor, _ in bars for x in (value, floor or 0.0)] + [1e-9])
    room = WIDTH - LEFT - RIGHT
    for k, (name, value, floor, colour) in enumerate(bars):
        y = top + HEAD - 10 + LINE * k
        draw.text((LEFT - 8, y + 8), name, fill=INK, font=_font(12), anchor="rm")
        draw.rectangle((LEFT, y + 2, LEFT + room * value / high, y + 15), fill=colour)
        if floor is not None:
            x = LEFT + room * floor / high
            draw.line((x, y, x, y + 17), fill=FLOOR, width=3)
        told = f"{value:.1f}" if floor is None else f"{value:.1f} ({floor:.1f})"
        draw.text((WIDTH - RIGHT + 8, y + 8), told, fill=INK, font=_font(12), anchor="lm")


def _intervals(draw: ImageDraw.ImageDraw, top: int, title: str, spans: list[Span]) -> None:
    """A dot and its interval for each, on one axis with 0 in it; what goes beyond 300% is cut at the edge."""
    draw.text((12, top + 8), title, fill=INK, font=_font(13))
    low = max(min([0.0, *(x[2] for x in spans)]), -100.0)
    high = min(max([0.0, *(x[3] for x in spans)]), 300.0)
    scale = (WIDTH - LEFT - RIGHT - 40) / max(high - low, 1e-9)

    def place(value: float) -> float:
        return LEFT + scale * (min(max(value, low), high) - low)

    bottom = top + HEAD - 10 + LINE * len(spans)
    draw.line((place(0), top + HEAD - 12, place(0), bottom), fill=GREY)
    for k, (name, value, a, b) in enumerate(spans):
        y = top + HEAD - 2 + LINE * k
        draw.text((LEFT - 8, y), name, fill=INK, font=_font(12), anchor="rm")
        draw.line((place(a), y, place(b), y), fill=OURS, width=2)
        draw.ellipse((place(value) - 4, y - 4, place(value) + 4, y + 4), fill=OURS)
        told = f"{value:+.0f} ({a:+.0f} to {b:+.0f})"
        draw.text((WIDTH - 10, y), told, fill=INK, font=_font(12), anchor="rm")
