"""Signatures in cosign's format, with keys of one's own and no service: made offline, verified offline.

What is signed is a small JSON document that names the manifest's digest (`simple signing`). It is kept in the
same repository as a referrer of the manifest, and under the tag that cosign looks for (`sha256-….sig`).
Keys are ECDSA P-256 in PEM, as `openssl ecparam -name prime256v1 -genkey -noout` makes them.
"""

from __future__ import annotations

import base64
import binascii
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from podium.errors import ImageError, MissingExtra, NoSuchImage, Unsigned
from podium.oci.documents import CONFIG, MANIFEST, Descriptor, ImageConfig, Manifest, RootFs, decode, encode
from podium.oci.layout import Layout
from podium.oci.reference import Reference
from podium.oci.repository import Repository

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey

SIGNATURE = "dev.cosignproject.cosign/signature"
PAYLOAD = "application/vnd.dev.cosign.simplesigning.v1+json"
ARTIFACT = "application/vnd.dev.cosign.artifact.sig.v1+json"
_TYPE = "cosign container image signature"


class _Named(msgspec.Struct, frozen=True, rename="kebab"):
    docker_manifest_digest: str


class _Identity(msgspec.Struct, frozen=True, rename="kebab"):
    docker_reference: str


class _Critical(msgspec.Struct, frozen=True):
    identity: _Identity
    image: _Named
    type: str


class _Payload(msgspec.Struct, frozen=True):
    critical: _Critical
    optional: dict[str, str] | None = None


def sign(subject: Descriptor, reference: Reference, key: Path, store: Layout, repository: Repository) -> None:
    """Sign a manifest that is in the repository already. Signing again adds a signature."""
    private = _private(key)
    payload = encode(
        _Payload(
            critical=_Critical(
                identity=_Identity(docker_reference=reference.repository),
                image=_Named(docker_manifest_digest=subject.digest),
                type=_TYPE,
            )
        )
    )
    blob = store.put(payload, PAYLOAD)
    signed = Descriptor(
        media_type=PAYLOAD,
        digest=blob.digest,
        size=blob.size,
        annotations={SIGNATURE: base64.b64encode(_signed(private, payload)).decode()},
    )
    layers = [*(_signatures(subject.digest, repository)), signed]
    diff_ids = [layer.digest for layer in layers]
    config = store.put(encode(ImageConfig(architecture="", os="", rootfs=RootFs(diff_ids=diff_ids))), CONFIG)
    manifest = encode(
        Manifest(
            schema_version=2,
            media_type=MANIFEST,
            artifact_type=ARTIFACT,
            config=config,
            layers=layers,
            subject=Descriptor(media_type=subject.media_type, digest=subject.digest, size=subject.size),
        )
    )
    for each in (blob, config):
        repository.push(each, store)
    kept = store.put(manifest, MANIFEST)
    named = Descriptor(media_type=MANIFEST, digest=kept.digest, size=kept.size, artifact_type=ARTIFACT)
    repository.refer(manifest, named, subject.digest)
    repository.put_manifest(manifest, MANIFEST, tag_of(subject.digest))


def check(key: Path) -> None:
    """Raise ImageError for what cannot sign, before anything is made or pushed."""
    _private(key)


def verify(digest: str, key: Path, store: Layout, repository: Repository) -> None:
    """Raise Unsigned unless a signature of this key names the manifest's digest."""
    public = _public(key)
    where = f"{repository.host}/{repository.name}@{digest}"
    signatures = _signatures(digest, repository)
    if not signatures:
        raise Unsigned(f"{where} is not signed: `podium build` and `podium push` sign with `--sign KEY`")
    for layer in signatures:
        repository.fetch(layer, store)
        payload = store.read(layer)
        if _is_signed(public, payload, layer.annotations.get(SIGNATURE, "")) and _names(payload, digest):
            return
    raise Unsigned(f"{where} is signed, but not with the key of {key}: do not run it, or give the right key")


def tag_of(digest: str) -> str:
    """Where cosign looks for signatures."""
    return f"{digest.replace(':', '-', 1)}.sig"


def _signatures(digest: str, repository: Repository) -> list[Descriptor]:
    try:
        _, content = repository.manifest(tag_of(digest))
    except NoSuchImage:
        return []
    layers = decode(content, Manifest, what=f"the signatures of {digest}").layers
    return [layer for layer in layers if layer.media_type == PAYLOAD]


def _names(payload: bytes, digest: str) -> bool:
    try:
        critical = msgspec.json.decode(payload, type=_Payload).critical
    except msgspec.MsgspecError:
        return False
    return critical.type == _TYPE and critical.image.docker_manifest_digest == digest


# --- keys -----------------------------------------------------------------------------------


def _signed(key: EllipticCurvePrivateKey, payload: bytes) -> bytes:
    from cryptography.hazmat.primitives import hashes  # an extra
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA

    return key.sign(payload, ECDSA(hashes.SHA256()))


def _is_signed(key: EllipticCurvePublicKey, payload: bytes, signature: str) -> bool:
    from cryptography.exceptions import InvalidSignature  # an extra
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA

    try:
        key.verify(base64.b64decode(signature, validate=True), payload, ECDSA(hashes.SHA256()))
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


def _private(path: Path) -> EllipticCurvePrivateKey:
    _check_library()
    from cryptography.hazmat.primitives.asymmetric import ec  # an extra
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        found = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise ImageError(f"{path} is no private key in PEM without a password: {error}") from None
    if not isinstance(found, ec.EllipticCurvePrivateKey):
        raise ImageError(f"{path}: no ECDSA key; `openssl ecparam -name prime256v1 -genkey -noout` makes one")
    return found


def _public(path: Path) -> EllipticCurvePublicKey:
    _check_library()
    from cryptography.hazmat.primitives.asymmetric import ec  # an extra
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        found = load_pem_public_key(path.read_bytes())
    except (OSError, ValueError, TypeError) as error:
        raise ImageError(f"{path} is no public key in PEM: {error}") from None
    if not isinstance(found, ec.EllipticCurvePublicKey):
        raise ImageError(f"{path}: the key is no ECDSA key")
    return found


def _check_library() -> None:
    if find_spec("cryptography") is None:
        raise MissingExtra("cryptography", "sign")
