"""The parts of the body that a sign moves or leaves alone, with how fast their joints may turn."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from stable_signer.body import rotation
from stable_signer.body.skeleton import Body
from stable_signer.slp_moe import priors
from stable_signer.slp_moe.clearance import keep_clear
from stable_signer.slp_moe.lexicon import Prototype


def _limbs() -> dict[str, tuple[int, ...]]:
    body = Body.load()
    arm = ("clavicle", "shoulder", "upperarm", "lowerarm", "wrist", "finger", "metacarpal")
    core = ("spine", "neck", "head")
    return {
        "right": tuple(i for i in body.side("R") if body.joints[i].startswith(arm)),
        "left": tuple(i for i in body.side("L") if body.joints[i].startswith(arm)),
        "core": tuple(i for i, name in enumerate(body.joints) if name.startswith(core)),
    }


LIMBS = _limbs()
"""Joint indices by limb: both arms with their hands, and the core (spine, neck, head)."""


# The fastest 0.1% of frames within 600 fitted recordings of real signers (rad/s, over three frames), times
# 1.25: recordings are of dictionary forms, and signers in a sentence are a little faster.
FASTEST = {
    "finger1": 11.5, "finger": 17.0, "metacarpal": 6.0, "wrist": 19.0, "lowerarm01": 13.5,
    "lowerarm02": 16.0, "upperarm01": 16.0, "upperarm02": 6.0, "shoulder01": 6.0, "clavicle": 2.5,
    "head": 4.0, "neck": 4.0, "spine": 2.0,
}  # fmt: skip


def _speed_limits() -> np.ndarray:
    """(J,) rad/s; joints that no sign moves get the slowest limit."""

    def limit(name: str) -> float:
        return next((v for prefix, v in FASTEST.items() if name.startswith(prefix)), min(FASTEST.values()))

    return np.array([limit(name) for name in Body.load().joints])


SPEED_LIMITS = _speed_limits()


@lru_cache(maxsize=1)
def rest_quaternions() -> np.ndarray:
    """The natural rest pose (J, 4), hands lying on the body and not in it."""
    return keep_clear(rotation.six_to_quaternion(priors.rest_pose().astype(np.float64))[None])[0]


@lru_cache(maxsize=512)
def path(prototype: Prototype) -> np.ndarray:
    """A prototype's rotations as quaternions (T, J, 4)."""
    return rotation.six_to_quaternion(prototype.motion.rotations.astype(np.float64))


def start_pose(prototype: Prototype) -> np.ndarray:
    """(J, 4) at the onset of the stroke."""
    return path(prototype)[0]


def end_pose(prototype: Prototype) -> np.ndarray:
    """(J, 4) at the end of the stroke."""
    return path(prototype)[-1]
