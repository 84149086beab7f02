"""What a notebook shows of a clip."""

from __future__ import annotations

import base64
import io
import re

import av

from stable_signer.media.notebook import video_html
from stable_signer.pipeline import StableSigner


def test_the_video_is_in_the_page_and_labelled(signer: StableSigner) -> None:
    clip = signer.sign('Hello "you" <b>', size=64)
    html = video_html(iter(clip), clip.fps, clip.provenance.tags(), clip.plan.text)
    assert 'aria-label="Synthetic signing: Hello &quot;you&quot; &lt;b&gt;"' in html
    data = base64.b64decode(re.findall(r"base64,([^\"]+)", html)[0])
    with av.open(io.BytesIO(data)) as container:
        assert sum(1 for _ in container.decode(video=0)) == len(clip)
    assert video_html([], 25, {}) == "<p>(no frames)</p>"
