"""Where a video comes from: the sidecar and Content Credentials."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stable_signer.errors import StableSignerError
from stable_signer.media.credentials import attest, credentials
from stable_signer.media.files import Outputs
from stable_signer.media.provenance import DISCLAIMER, Provenance, text_hash
from stable_signer.media.sidecar import check_sidecar, sidecar_path, write_sidecar
from stable_signer.media.video import write_video
from stable_signer.pose2vid.consent import ConsentCard

MADE = Provenance(language="ase", signer="maya", planner="rules", seed=7, text_sha256=text_hash("hi"))


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "a.mp4"
    frames = [np.full((64, 64, 3), shade, np.uint8) for shade in range(0, 250, 10)]
    write_video(path, frames, size=64, fps=25, tags=MADE.tags())
    return path


def test_the_sidecar_tells_all_and_is_bound_to_its_video(video: Path) -> None:
    with Outputs() as outputs:
        write_sidecar(MADE, video, outputs.claim(sidecar_path(video)))
    told = check_sidecar(video)
    assert told["synthetic"] is True
    assert (told["made"]["seed"], told["made"]["text_sha256"]) == (7, text_hash("hi"))
    assert told["signer_card"]["origin"].startswith("synthetic")
    assert set(told["weights"]) >= {"body.npz", "glosses.csv"}
    data = bytearray(video.read_bytes())
    data[-1] ^= 1
    video.write_bytes(data)
    with pytest.raises(StableSignerError, match="it was changed"):
        check_sidecar(video)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"video": 1}', "[" * 100_000])
def test_a_damaged_sidecar_is_refused(video: Path, text: str) -> None:
    with pytest.raises(StableSignerError, match="cannot be read"):
        check_sidecar(video)
    sidecar_path(video).write_text(text)
    with pytest.raises(StableSignerError, match="damaged"):
        check_sidecar(video)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate chain and key as a user would have them, made for this test."""
    pytest.importorskip("c2pa", reason="needs the extra [c2pa]")
    x509 = pytest.importorskip("cryptography.x509", reason="needs cryptography")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    def name(text: str) -> Any:
        return x509.Name(
            [
                x509.NameAttribute(NameOID.COUNTRY_NAME, "DE"),
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "A studio"),
                x509.NameAttribute(NameOID.COMMON_NAME, text),
            ]
        )

    def usage(sign: bool) -> Any:
        names = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "crl_sign")
        flags = dict.fromkeys((*names, "encipher_only", "decipher_only"), False)
        return x509.KeyUsage(digital_signature=sign, key_cert_sign=not sign, **flags)

    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    now = datetime.datetime.now(datetime.UTC)

    def build(subject: str, public: Any, ca: bool) -> Any:
        builder = (
            x509.CertificateBuilder()
            .subject_name(name(subject))
            .issuer_name(name("root"))
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=30))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(usage(not ca), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), critical=False
            )
        )
        if not ca:
            kinds = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
            builder = builder.add_extension(kinds, critical=False)
        return builder.sign(root_key, hashes.SHA256())

    chain = [build("signer", key.public_key(), False), build("root", root_key.public_key(), True)]
    folder = tmp_path_factory.mktemp("certificate")
    pem = b"".join(c.public_bytes(serialization.Encoding.PEM) for c in chain)
    (folder / "chain.pem").write_bytes(pem)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "key.pem").write_bytes(private)
    return folder / "chain.pem", folder / "key.pem"


def test_credentials_are_signed_and_read_back(video: Path, certificate: tuple[Path, Path]) -> None:
    target = video.with_name("signed.mp4")
    attest(video, target, *certificate, "es256")
    told = credentials(target)
    assert told["state"] == "Valid"  # the chain holds; it is Trusted only where its root is
    assert told["issuer"] == "A studio"
    assert told["synthetic"] is True
    data = bytearray(target.read_bytes())
    data[-1000] ^= 1
    target.write_bytes(data)
    changed = credentials(target)
    assert changed["state"] == "Invalid"
    assert any("mismatch" in code.lower() for code in changed["problems"])
    with pytest.raises(StableSignerError, match="no Content Credentials"):
        credentials(video)


def test_credentials_say_who_was_filmed_and_nothing_of_what_is_not_told(
    video: Path, certificate: tuple[Path, Path]
) -> None:
    target = video.with_name("signed.mp4")
    attest(video, target, *certificate, "es256")
    assert credentials(target)["description"] == DISCLAIMER
    card = ConsentCard("Ana", "may be drawn in her own videos", "CC-BY-4.0", "Ana", "2026-11-01")
    made = Provenance(signer="Ana", look="diffusion", filmed=card)
    frames = [np.full((64, 64, 3), shade, np.uint8) for shade in range(0, 250, 10)]
    told_of = {"ana.mp4": made.tags(), "ana.gif": made.tags(), "untold.mp4": {"title": "a film"}}
    for name, tags in told_of.items():
        write_video(video.with_name(name), frames, size=64, fps=25, tags=tags)
    for name in ("ana.mp4", "ana.gif"):
        target = video.with_name(f"signed-{name}")
        attest(video.with_name(name), target, *certificate, "es256")
        told = credentials(target)
        assert told["state"] == "Valid" and told["synthetic"] is True
        assert told["description"] == made.disclaimer and "Ana, who was filmed" in told["description"]
    with pytest.raises(StableSignerError, match="does not say how it was made"):
        attest(video.with_name("untold.mp4"), video.with_name("no.mp4"), *certificate, "es256")
    assert not video.with_name("no.mp4").exists()


def test_credentials_that_cannot_be_made_are_refused(video: Path, certificate: tuple[Path, Path]) -> None:
    chain, key = certificate
    target = video.with_name("signed.mp4")
    with pytest.raises(StableSignerError, match=r"the key .* cannot be read"):
        attest(video, target, chain, key.with_name("none.pem"), "es256")
    with pytest.raises(StableSignerError, match="cannot be signed"):
        attest(video, target, key, chain, "es256")
    with pytest.raises(StableSignerError, match="no algorithm"):
        attest(video, target, chain, key, "rot13")
    with pytest.raises(StableSignerError, match=r"the ending '.webm'"):
        attest(video.with_suffix(".webm"), target, chain, key, "es256")


def test_the_command_attests_and_checks(run: Any, video: Path, certificate: tuple[Path, Path]) -> None:
    target = video.with_name("signed.mp4")
    result = run("attest", video, "-o", target, "--certificate", certificate[0], "--key", certificate[1])
    assert result.code == 0, result.err
    result = run("attest", "--check", target)
    assert result.code == 0
    assert json.loads(result.out)["state"] == "Valid"
    assert run("attest", video).code == 2
