"""A caption file made into a video of signing that keeps the captions' times."""

from stable_signer.captions_track.cues import Cue, read_cues
from stable_signer.captions_track.fit import Fitted, Report, fit_cues
from stable_signer.captions_track.track import Look, make_track

__all__ = ["Cue", "Fitted", "Look", "Report", "fit_cues", "make_track", "read_cues"]
