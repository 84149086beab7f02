"""Run in MediaPipe's own environment, never imported by ours: python -I people.py CLIP OUT.json

Writes how many faces MediaPipe's face detection (the full-range model, up to five metres) sees in each of at
most MOST frames, spread over the clip. Holistic follows one person and does not say that there are others.
"""

from __future__ import annotations

import json
import sys

MOST = 24  # frames looked at
SURE = 0.6  # of a face


def main(clip: str, out: str) -> None:
    """Count the faces in frames of `clip`."""
    import av
    import mediapipe

    with av.open(clip) as container:
        total = sum(1 for _ in container.decode(video=0))
    every = max(1, -(-total // MOST))
    counts = []
    eye = mediapipe.solutions.face_detection.FaceDetection(SURE, model_selection=1)
    with eye, av.open(clip) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if index % every == 0:
                counts.append(len(eye.process(frame.to_ndarray(format="rgb24")).detections or ()))
    with open(out, "w", encoding="utf-8") as file:
        json.dump(counts, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
