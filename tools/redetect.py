"""Does an independent eye find the hands and the face in a rendered video?

Runs MediaPipe Holistic 0.10.21 over the frames, each on its own (static mode), and prints how often it finds
the face and either hand. With the `.pose` that `stable-signer sign --pose` wrote beside the video it also
prints how far the found points lie from the ones that drove the picture: PCK@0.2 palm (the share nearer than
a fifth of the palm, wrist to middle knuckle) and the mean error in palm lengths. MediaPipe puts its points a
little elsewhere than our joints are, so compare with its figures on real signers, not with 1.

MediaPipe wants numpy < 2, so it lives in an environment of its own, which the first run builds
(.venv-redetect/):

    python tools/redetect.py out.mp4 [--pose out.pose] [--json figures.json]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import venv
from pathlib import Path

ENVIRONMENT = Path(__file__).resolve().parent.parent / ".venv-redetect"
NEEDS = ("mediapipe==0.10.21", "numpy<2", "av>=14,<20", "pose-format>=0.10,<0.17")
HANDS = {"left": "LEFT_HAND_LANDMARKS", "right": "RIGHT_HAND_LANDMARKS"}
NEAR = 0.2  # of the palm: what counts as found in its place


def main() -> None:
    """Build the environment when it is missing, then run inside it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("video", type=Path)
    parser.add_argument("--pose", type=Path, help="the .pose file written with the video")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    parser.add_argument("--every", type=int, default=1, help="look at every n-th frame only")
    arguments = parser.parse_args()
    python = ENVIRONMENT / ("Scripts" if os.name == "nt" else "bin") / "python"
    if Path(sys.prefix).resolve() != ENVIRONMENT.resolve():
        if not python.exists():
            print(f"building {ENVIRONMENT} once", file=sys.stderr)
            venv.create(ENVIRONMENT, with_pip=True)
            subprocess.run([python, "-m", "pip", "install", "-q", *NEEDS], check=True)
        sys.exit(subprocess.run([python, __file__, *sys.argv[1:]], check=False).returncode)
    if not arguments.video.is_file():
        sys.exit(f"there is no video {arguments.video}: give a file that stable-signer wrote")
    figures = measure(arguments.video, arguments.pose, arguments.every)
    print(json.dumps(figures, indent=2))
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


def measure(video: Path, pose: Path | None, every: int) -> dict[str, float]:
    """The figures of one video; see the top of this file."""
    import av
    import mediapipe
    import numpy as np

    driving = read_pose(pose) if pose else None
    frames = face = 0
    found = dict.fromkeys(HANDS, 0)
    expected = dict.fromkeys(HANDS, 0)
    errors: list[np.ndarray] = []
    eye = mediapipe.solutions.holistic.Holistic(static_image_mode=True, model_complexity=1)
    with eye, av.open(str(video)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if index % every:
                continue
            picture = frame.to_ndarray(format="rgb24")
            height, width = picture.shape[:2]
            result = eye.process(picture)
            frames += 1
            face += result.face_landmarks is not None
            for side in HANDS:
                landmarks = getattr(result, f"{side}_hand_landmarks")
                if driving is not None and index < len(driving[side]):
                    truth = driving[side][index]  # (21, 2) pixels
                    if not ((truth > 0) & (truth < width)).all():
                        continue  # partly outside the picture: not asked for
                expected[side] += 1
                if landmarks is None:
                    continue
                found[side] += 1
                if driving is not None and index < len(driving[side]):
                    seen = np.array([(p.x * width, p.y * height) for p in landmarks.landmark])
                    palm = np.linalg.norm(truth[9] - truth[0])
                    errors.append(np.linalg.norm(seen - truth, axis=1) / max(palm, 1))
    figures = {"frames": frames, "face": face / max(frames, 1)}
    for side in HANDS:
        figures[f"{side}_hand"] = found[side] / max(expected[side], 1)
    if errors:
        every_error = np.concatenate(errors)
        figures["pck_0.2_palm"] = float((every_error < NEAR).mean())
        figures["median_error_palms"] = float(np.median(every_error))
    return {key: round(value, 4) for key, value in figures.items()}


def read_pose(path: Path) -> dict[str, object]:
    """Both hands of a `.pose` file: (T, 21, 2) pixels."""
    from pose_format import Pose

    pose = Pose.read(path.read_bytes())
    return {
        side: pose.get_components([name]).body.data[:, 0, :, :2].filled(float("nan"))
        for side, name in HANDS.items()
    }


if __name__ == "__main__":
    main()
