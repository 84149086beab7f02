"""A video inside a notebook's page."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping
from html import escape

import numpy as np

from stable_signer.media.video import VideoWriter


def video_html(frames: Iterable[np.ndarray], fps: float, tags: Mapping[str, str], text: str = "") -> str:
    """A `<video>` element that holds the video: what Jupyter shows for a clip.

    frames: (size, size, 3) uint8 each. text: what is signed, read out by screen readers.
    """
    target = io.BytesIO()
    video: VideoWriter | None = None
    try:
        for frame in frames:
            if video is None:
                video = VideoWriter(target, size=frame.shape[0], fps=fps, tags=tags)
            video.write(frame)
    except BaseException:
        if video is not None:
            video.abandon()
        raise
    if video is None:
        return "<p>(no frames)</p>"
    video.close()
    data = base64.b64encode(target.getvalue()).decode()
    label = escape(f"Synthetic signing: {text}" if text else "Synthetic signing", quote=True)
    source = f"data:video/mp4;base64,{data}"
    return f'<video controls loop muted playsinline aria-label="{label}" src="{source}"></video>'
