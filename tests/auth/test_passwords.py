import pytest

from amqpd.auth.passwords import SHA256, SHA512, PasswordHash

# "test12" with the salt 90 8D C6 0A: the example of RabbitMQ's guide to passwords (rabbitmq.com/docs/passwords).
FROM_THE_GUIDE = "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR"


def test_a_password_matches_its_hash_and_no_other_does() -> None:
    kept = PasswordHash.of(b"correct horse")
    assert kept.matches(b"correct horse")
    assert not kept.matches(b"correct horsf")
    assert not kept.matches(b"")


def test_a_hash_that_rabbitmq_wrote_matches_the_password() -> None:
    kept = PasswordHash.decode(FROM_THE_GUIDE)
    assert kept.salt == bytes.fromhex("908DC60A")
    assert kept.matches(b"test12")
    assert kept.encode() == FROM_THE_GUIDE


@pytest.mark.parametrize(("algorithm", "size"), [(SHA256, 32), (SHA512, 64)])
def test_both_algorithms_write_what_they_read(algorithm: str, size: int) -> None:
    kept = PasswordHash.of(b"secret", algorithm)
    assert len(kept.digest) == size
    assert PasswordHash.decode(kept.encode(), algorithm) == kept
    assert PasswordHash.decode(kept.encode(), algorithm).matches(b"secret")


def test_the_same_password_twice_has_two_hashes() -> None:
    # Four octets of salt: that all sixteen are the same by chance is out of the question.
    assert len({PasswordHash.of(b"secret").encode() for _ in range(16)}) > 1


def test_a_password_need_not_be_text() -> None:
    assert PasswordHash.of(b"\xff\x00\xfe").matches(b"\xff\x00\xfe")


@pytest.mark.parametrize(
    ("text", "algorithm", "reason"),
    [
        ("not base64!", SHA256, "not base64"),
        ("kI3GCg==", SHA256, "has 4 octets, rabbit_password_hashing_sha256 has 36"),
        (FROM_THE_GUIDE, SHA512, "has 36 octets, rabbit_password_hashing_sha512 has 68"),
        (FROM_THE_GUIDE, "rabbit_password_hashing_md5", "'rabbit_password_hashing_md5' is not one of"),
    ],
)
def test_what_is_no_hash_is_refused(text: str, algorithm: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        PasswordHash.decode(text, algorithm)


def test_a_hash_does_not_show_itself_in_logs() -> None:
    kept = PasswordHash.decode(FROM_THE_GUIDE)
    assert repr(kept.digest) not in repr(kept)
    assert repr(kept.salt) not in repr(kept)
