"""Run in MediaPipe's own environment, never imported by ours: python -I holistic.py CLIP OUT.npz [EVERY]

Writes what MediaPipe Holistic 0.10.21 sees in each frame of a clip: pose (T, 33, 3) x, y in pixels and
visibility; left_hand, right_hand (T, 21, 3) and face (T, 468, 2) in pixels; world (T, 33, 3) metres; NaN
where nothing was found; fps. Left is the person's left. Imports nothing of ours: we need another numpy.

Holistic follows one person and does not say that there are others. With EVERY it also writes faces: how many
MediaPipe's face detection (the full-range model, up to five metres) sees in each EVERYth frame.
"""

from __future__ import annotations

import sys
from typing import Any

HANDS, BODY, FACE = 21, 33, 468  # points
SURE = 0.6  # of a face


def main(clip: str, out: str, every: str = "0") -> None:
    """Look at every frame of `clip`; the tracker carries what it found from frame to frame."""
    import av
    import mediapipe
    import numpy as np

    tracks: dict[str, list[Any]] = {k: [] for k in ("pose", "left_hand", "right_hand", "face", "world")}

    def points(found: Any, count: int, scale: tuple[float, float, float], last: str = "z") -> Any:
        if found is None:
            return np.full((count, 3), np.nan, np.float32)
        rows = [(p.x, p.y, getattr(p, last)) for p in found.landmark[:count]]
        return np.array(rows, np.float32) * np.array(scale, np.float32)

    # Complexity 1 is the model that lies in the wheel: the others would be fetched from the network.
    eye = mediapipe.solutions.holistic.Holistic(static_image_mode=False, model_complexity=1)
    counter = mediapipe.solutions.face_detection.FaceDetection(SURE, model_selection=1)
    step, faces = int(every), []
    with eye, counter, av.open(clip) as container:
        stream = container.streams.video[0]
        fps = float(stream.average_rate or 25)
        for index, frame in enumerate(container.decode(stream)):
            picture = frame.to_ndarray(format="rgb24")
            if step and index % step == 0:
                faces.append(len(counter.process(picture).detections or ()))
            height, width = picture.shape[:2]
            seen = eye.process(picture)
            pixels = (width, height, width)
            tracks["pose"].append(points(seen.pose_landmarks, BODY, (width, height, 1), "visibility"))
            tracks["left_hand"].append(points(seen.left_hand_landmarks, HANDS, pixels))
            tracks["right_hand"].append(points(seen.right_hand_landmarks, HANDS, pixels))
            tracks["face"].append(points(seen.face_landmarks, FACE, pixels)[:, :2])
            tracks["world"].append(points(seen.pose_world_landmarks, BODY, (1, 1, 1)))
    arrays: dict[str, Any] = {name: np.stack(rows) for name, rows in tracks.items()}
    if step:
        arrays["faces"] = np.array(faces, np.int32)
    np.savez(out, fps=np.float32(fps), **arrays)


if __name__ == "__main__":
    main(*sys.argv[1:])
