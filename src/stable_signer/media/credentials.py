"""Content Credentials (C2PA): a signed statement inside the file that the signing is synthetic.

Needs the extra: `pip install 'stable-signer[c2pa]'`, and a certificate of your own; none is shipped. No time
stamp is asked for, because that needs the network.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from stable_signer.errors import StableSignerError
from stable_signer.media.files import check_ending, read_bytes
from stable_signer.media.provenance import LABEL, told_by, tool_version
from stable_signer.media.video import read_tags

ENDINGS = (".mp4", ".gif")
ALGORITHMS = ("es256", "es384", "es512", "ps256", "ps384", "ps512", "ed25519")
# IPTC digital source types: media made by a trained model or by rule, for which nothing was filmed; and media
# made by a model that learned from captured content, here from footage of the signer.
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/algorithmicMedia"
FILMED_SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
SOURCE_TYPES = (SOURCE_TYPE, FILMED_SOURCE_TYPE)


def attest(
    video: str | Path, target: str | Path, certificate: str | Path, key: str | Path, algorithm: str
) -> None:
    """Write `video` with a signed manifest to `target`; the manifest says what the video's tags say.

    certificate: PEM, the signing certificate first, then its issuers. key: PEM (PKCS #8), its private key.
    Raises StableSignerError when a file cannot be read, or the certificate cannot sign,
    and when the video does not say how it was made.
    """
    c2pa = _library()
    ending = check_ending(video, ENDINGS)
    if algorithm not in ALGORITHMS:
        raise StableSignerError(f"there is no algorithm {algorithm!r}: use one of {', '.join(ALGORITHMS)}")
    chain, private = read_bytes(certificate, "the certificate"), read_bytes(key, "the key")
    read_bytes(video, "the video")
    made_by = told_by(read_tags(video))
    if made_by is None:
        raise StableSignerError(
            f"{video} does not say how it was made, so nothing can be signed about it: give it as it was "
            "written, with its tags"
        )
    manifest = {
        "claim_generator_info": [{"name": "Stable Signer", "version": tool_version()}],
        "format": "video/mp4" if ending == ".mp4" else "image/gif",
        "title": LABEL,
        "assertions": [
            {
                "label": "c2pa.actions.v2",
                "data": {
                    "actions": [
                        {
                            "action": "c2pa.created",
                            "digitalSourceType": FILMED_SOURCE_TYPE if made_by.filmed else SOURCE_TYPE,
                            "description": made_by.disclaimer,
                        }
                    ]
                },
            }
        ],
    }
    try:
        info = c2pa.C2paSignerInfo(algorithm.encode(), chain, private, None)
        with c2pa.Signer.from_info(info) as signer, c2pa.Builder(json.dumps(manifest)) as builder:
            Path(target).unlink(missing_ok=True)  # the library refuses to write over a file
            builder.sign_file(str(video), str(target), signer)
    except c2pa.C2paError as error:
        raise StableSignerError(
            f"the video cannot be signed ({_short(error)}): do key and algorithm belong to the certificate?"
        ) from error


def credentials(video: str | Path) -> dict[str, Any]:
    """What the manifest in a video says: its `state`, `issuer`, whether `synthetic`, its `description` (with
    the person who was filmed, if one was), `problems`.

    Raises StableSignerError when the file has no manifest, or cannot be read.
    """
    c2pa = _library()
    check_ending(video, ENDINGS)
    read_bytes(video, "the video")
    try:
        with c2pa.Reader(str(video)) as reader:
            told = json.loads(reader.json())
    except c2pa.C2paError as error:
        raise StableSignerError(f"no Content Credentials can be read in {video} ({_short(error)})") from error
    manifest = told["manifests"][told["active_manifest"]]
    actions = [
        action
        for assertion in manifest.get("assertions", [])
        if assertion["label"].startswith("c2pa.actions")
        for action in assertion["data"]["actions"]
    ]
    return {
        "state": told.get("validation_state", "Invalid"),
        "issuer": manifest.get("signature_info", {}).get("issuer", ""),
        "synthetic": any(action.get("digitalSourceType") in SOURCE_TYPES for action in actions),
        "description": next((a["description"] for a in actions if "description" in a), ""),
        "problems": [s["code"] for s in told.get("validation_status", [])],
    }


def _library() -> Any:
    try:
        import c2pa
    except ModuleNotFoundError as error:
        raise StableSignerError(
            "Content Credentials need another package: pip install 'stable-signer[c2pa]'"
        ) from error
    return c2pa


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:120]
