"""Stable Signer: a sentence in, a sign-language video out.

>>> from stable_signer import StableSigner
>>> signer = StableSigner.from_pretrained()
>>> signer.sign("What is your name?").save("name.mp4")
"""

from stable_signer.body.motion import Motion
from stable_signer.errors import StableSignerError
from stable_signer.pipeline import Clip, StableSigner
from stable_signer.slul.plan import Plan, Sign

__all__ = ["Clip", "Motion", "Plan", "Sign", "StableSigner", "StableSignerError"]
