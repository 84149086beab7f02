"""The parts of the body that a sign moves or leaves alone, with how fast their joints may turn."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from stable_signer.body import rotation
from stable_signer.body.skeleton import Body
from stable_signer.slp_moe import priors
from stable_signer.slp_moe.clearance import keep_clear, kinematics
from stable_signer.slp_moe.lexicon import JOINT_SPEED_P99, WRIST_SPEED_P99, Prototype


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
SENTENCE_PACE = 1.6
"""How much shorter the median stroke is in a sentence than in its recording; see `schedule.stroke_length`."""
CORE_LIMIT = 4.0
"""rad/s for head and trunk, which hardly move in dictionary forms: a headshake of 13 degrees at 1.8 Hz."""


def _speed_limits() -> np.ndarray:
    """(J,) rad/s, from the 99th percentile in real signing (`lexicon.JOINT_SPEED_P99`)."""
    groups = {"metacarpal": "clavicle", "shoulder": "clavicle"} | {g: g for g in JOINT_SPEED_P99}

    def limit(name: str) -> float:
        return next((HASTE * JOINT_SPEED_P99[g] for p, g in groups.items() if name.startswith(p)), CORE_LIMIT)

    return np.array([limit(name) for name in Body.load().joints])


SPEED_LIMITS = _speed_limits()
WRIST_LIMIT = HASTE * WRIST_SPEED_P99
"""m/s through space."""


@lru_cache(maxsize=1)
def rest_quaternions() -> np.ndarray:
    """The natural rest pose (J, 4), hands lying on the body and not in it."""
    return keep_clear(rotation.six_to_quaternion(priors.rest_pose().astype(np.float64))[None])[0]


@lru_cache(maxsize=512)
def path(prototype: Prototype) -> np.ndarray:
    """A prototype's rotations as quaternions (T, J, 4).

    Where a recorded arm jumps from one frame to the next (a hand lost and found again by the tracker), the
    step gets as much time as the limits ask for at the pace of a sentence; T may then be larger than in the
    recording.
    """
    q = prototype.motion.quaternions
    if prototype.source != "lexicon":
        return q
    body = Body.load()
    joints = [j for limb in ("right", "left") for j in LIMBS[limb] if not body.joints[j].startswith("finger")]
    wrists = kinematics(q)[1][:, [body.index["wrist.R"], body.index["wrist.L"]]]
    turn = rotation.turn_between(q[:-1, joints], q[1:, joints]) * prototype.motion.fps
    travel = np.linalg.norm(np.diff(wrists, axis=0), axis=-1) * prototype.motion.fps
    pace = np.concatenate([turn / SPEED_LIMITS[joints], travel / WRIST_LIMIT], 1).max(1)
    steps = np.maximum(SENTENCE_PACE * pace, 1.0)  # frames each step takes
    times = np.concatenate([[0.0], np.cumsum(steps)])
    frames = np.interp(np.linspace(0, times[-1], round(times[-1]) + 1), times, np.arange(len(q)))
    return rotation.resample(q, frames)


@lru_cache(maxsize=4096)
def wrists(prototype: Prototype) -> dict[str, np.ndarray]:
    """Where the wrists are at the onset and at the end: (2, 3) metres for the limbs 'right' and 'left'."""
    return _wrists(path(prototype)[[0, -1]])


@lru_cache(maxsize=1)
def rest_wrists() -> dict[str, np.ndarray]:
    """(1, 3) metres for 'right' and 'left', at rest."""
    return _wrists(rest_quaternions()[None])


def _wrists(q: np.ndarray) -> dict[str, np.ndarray]:
    places = kinematics(q)[1]
    return {
        limb: places[:, Body.load().index[f"wrist.{side}"]] for limb, side in (("right", "R"), ("left", "L"))
    }


def start_pose(prototype: Prototype) -> np.ndarray:
    """(J, 4) at the onset of the stroke."""
    return path(prototype)[0]


def end_pose(prototype: Prototype) -> np.ndarray:
    """(J, 4) at the end of the stroke."""
    return path(prototype)[-1]
