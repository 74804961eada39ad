"""Passwords as salted hashes, in RabbitMQ's format: base64(salt || H(salt || password)), the salt being four octets.

Why not a slow hash such as argon2: definitions exported from RabbitMQ must import as they are, and so must ours there;
and clients that connect for each message would make the broker spend its time on hashing, which anyone without a
password could bring about. So a hash that leaks is only as strong as its password is long and random.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Self

SALT_SIZE = 4  # octets; RabbitMQ's format has no room for more
SHA256 = "rabbit_password_hashing_sha256"
SHA512 = "rabbit_password_hashing_sha512"

HASHES = {SHA256: hashlib.sha256, SHA512: hashlib.sha512}
"""By the names that RabbitMQ's definitions have for them. Its MD5 of 2014 and before is not among them."""


@dataclass(frozen=True, slots=True, repr=False)
class PasswordHash:
    """What is kept of a password. Build it with ``of`` or ``decode``."""

    algorithm: str
    salt: bytes
    digest: bytes

    @classmethod
    def of(cls, password: bytes, algorithm: str = SHA256) -> Self:
        """The hash of ``password`` with a salt of its own. ``algorithm`` is one of ``HASHES``."""
        salt = secrets.token_bytes(SALT_SIZE)
        return cls(algorithm, salt, HASHES[algorithm](salt + password).digest())

    @classmethod
    def decode(cls, text: str, algorithm: str = SHA256) -> Self:
        """Reads what ``encode``, or RabbitMQ, wrote. Raises ``ValueError`` with a sentence that says what is wrong."""
        if algorithm not in HASHES:
            raise ValueError(f"password hashing algorithm {algorithm!r} is not one of {', '.join(HASHES)}")
        try:
            octets = base64.b64decode(text, validate=True)
        except binascii.Error as error:
            raise ValueError(f"password hash is not base64: {error}") from None
        size = SALT_SIZE + HASHES[algorithm]().digest_size
        if len(octets) != size:
            raise ValueError(f"password hash has {len(octets)} octets, {algorithm} has {size}")
        return cls(algorithm, octets[:SALT_SIZE], octets[SALT_SIZE:])

    def encode(self) -> str:
        """As it stands in definitions (``password_hash``)."""
        return base64.b64encode(self.salt + self.digest).decode("ascii")

    def matches(self, password: bytes) -> bool:
        """Whether ``password`` is the one. Takes as long for a wrong one as for the right one."""
        return hmac.compare_digest(HASHES[self.algorithm](self.salt + password).digest(), self.digest)
