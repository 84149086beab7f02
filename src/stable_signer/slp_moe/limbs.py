"""The parts of the body that a sign moves or leaves alone, with how fast their joints may turn."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from stable_signer.body import rotation
from stable_signer.body.skeleton import Body
from stable_signer.slp_moe import priors
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


def _speed_limits() -> np.ndarray:
    """(J,) rad/s; provisional, see docs/lexicon.md for the distribution in real signing."""
    body = Body.load()
    by_prefix = {"finger": 22.0, "metacarpal": 10.0, "wrist": 14.0, "lowerarm": 12.0, "upperarm": 10.0,
                 "shoulder": 8.0, "clavicle": 4.0, "head": 6.0, "neck": 6.0}
    return np.array([next((v for k, v in by_prefix.items() if name.startswith(k)), 4.0) for name in body.joints])


SPEED_LIMITS = _speed_limits()


@lru_cache(maxsize=1)
def rest_quaternions() -> np.ndarray:
    """The natural rest pose (J, 4)."""
    return rotation.six_to_quaternion(priors.rest_pose().astype(np.float64))


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
