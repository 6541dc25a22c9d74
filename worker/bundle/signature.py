"""Ed25519 signatures over a manifest, hence over every file that it lists.

Owns the key files (PEM). `cryptography` is optional and loaded only for a key.
"""
# ruff: noqa: PLC0415 (most workers have no key, and need not carry the package)

from __future__ import annotations

from pathlib import Path

from worker.errors import BundleRejected, InvalidConfig

#: Bytes of an Ed25519 signature (RFC 8032), which is also all that manifest.sig holds.
SIGNATURE_BYTES = 64


def sign(manifest: bytes, private_key: Path) -> bytes:
    """Return the signature of a manifest.

    Raises
    ------
    InvalidConfig
        The key is not an unencrypted Ed25519 private key in PEM.
    """
    _require_cryptography()
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(_key_bytes(private_key), password=None)
    except (ValueError, TypeError) as error:
        raise _unusable(private_key, "private", error) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise _unusable(private_key, "private", "it is of another kind")
    return key.sign(manifest)


def verify(manifest: bytes, signature: bytes | None, public_key: Path) -> None:
    """Return only if the signature was made over this manifest with the key's twin.

    Raises
    ------
    BundleRejected
        The signature is missing or wrong.
    InvalidConfig
        The key is not an Ed25519 public key in PEM.
    """
    _require_cryptography()
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(_key_bytes(public_key))
    except ValueError as error:
        raise _unusable(public_key, "public", error) from None
    if not isinstance(key, Ed25519PublicKey):
        raise _unusable(public_key, "public", "it is of another kind")
    if signature is None:
        raise BundleRejected(
            "manifest.sig is missing and a public key is configured; sign the bundle, "
            "or use one that is signed"
        )
    try:
        key.verify(signature, manifest)
    except InvalidSignature:
        raise BundleRejected(
            f"manifest.sig does not fit manifest.json and the key {public_key}; "
            "fetch the bundle again from where it was signed"
        ) from None


def _require_cryptography() -> None:
    try:
        import cryptography  # noqa: F401
    except ImportError:
        raise InvalidConfig(
            ["signatures need `cryptography`: pip install 'fraud-worker[signing]'"],
            subject="signing",
        ) from None


def _key_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidConfig(
            [f"{path} cannot be read: {error.strerror}"], subject="signing"
        ) from None


def _unusable(path: Path, kind: str, why: object) -> InvalidConfig:
    problem = f"{path} is not an Ed25519 {kind} key in PEM: {why}"
    return InvalidConfig([problem], subject="signing")
