"""Motions to train Pose2Vid on: sentences signed by SLP-MoE, as one .npz for `train pose2vid`.

    python tools/build_motions.py SENTENCES.txt runs/motions.npz

SENTENCES.txt has one sentence a line. Sentence k is signed with seed k. Sentences that spell and count come
first, so that every hand of the alphabet is seen; the last tenth of the file is never trained on.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from stable_signer import StableSigner

SPELLED = (
    "My name is Quentin Vazquez.",
    "I met Jazmin Kowalski in Brooklyn.",
    "Her phone number is 347 268 9150.",
    "Xavier Fudge lives in Zagreb.",
    "Call me at 555 014 6789.",
    "The train leaves at 7:45 on May 23.",
    "Wyatt Philbrick and Gjon Mx.",
    "Is Becky from Oxford?",
)


def main(sentences: Path, output: Path) -> None:
    """Sign every sentence and write the joined motions, float16."""
    lines = [line.strip() for line in sentences.read_text(encoding="utf-8").splitlines()]
    signer = StableSigner.from_pretrained()
    takes = [
        signer.motion(signer.plan(text), seed=seed)
        for seed, text in enumerate([*SPELLED, *(t for t in lines if t and not t.startswith("#"))])
    ]
    output.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        output,
        rotations=np.concatenate([t.rotations for t in takes]).astype(np.float16),
        face=np.concatenate([t.face for t in takes]).astype(np.float16),
        root=np.concatenate([t.root for t in takes]).astype(np.float16),
        offsets=np.cumsum([0, *[len(t) for t in takes]]),
    )
    print(f"{len(takes)} takes, {sum(len(t) for t in takes)} frames -> {output}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
