"""The parts of the body that a sign moves or leaves alone, with how fast their joints may turn."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from stable_signer.body import rotation
from stable_signer.body.skeleton import Body
from stable_signer.slp_moe import priors
from stable_signer.slp_moe.clearance import keep_clear
from stable_signer.slp_moe.lexicon import JOINT_SPEED_P99, Prototype


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


HASTE = 1.5
"""How much faster than in recorded dictionary forms a joint may turn: in sentences signs are shorter."""
CORE_LIMIT = 4.0
"""rad/s for head and trunk, which hardly move in dictionary forms: a headshake of 13 degrees at 1.8 Hz."""


def _speed_limits() -> np.ndarray:
    """(J,) rad/s, from the 99th percentile in real signing (`lexicon.JOINT_SPEED_P99`)."""
    groups = {"metacarpal": "clavicle", "shoulder": "clavicle"} | {g: g for g in JOINT_SPEED_P99}

    def limit(name: str) -> float:
        return next((HASTE * JOINT_SPEED_P99[g] for p, g in groups.items() if name.startswith(p)), CORE_LIMIT)

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
