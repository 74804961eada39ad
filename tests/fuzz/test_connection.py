"""The law of the fuzz target, on as many conversations as a test has time for; hypothesis makes what fails small.

``python -m tests.fuzz.connection`` plays for as long as one likes.
"""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amqpd.wire.constants import PROTOCOL_HEADER
from tests.amqp.transcript import in_one_read, octet_by_octet
from tests.fuzz.connection import answers_to, play


@settings(max_examples=60)
@given(st.randoms(use_true_random=False))
def test_any_conversation_gets_replies_or_a_close(random: Random) -> None:
    play(random)


@pytest.mark.parametrize("seed", range(60))
def test_conversations_that_are_the_same_each_time(seed: int) -> None:
    play(Random(seed))


@given(st.binary(max_size=200))
def test_noise_is_answered_by_a_protocol_header(noise: bytes) -> None:
    for split in (in_one_read, octet_by_octet):
        answers = answers_to(noise, split)
        if len(noise) >= 8 and not noise.startswith(b"AMQP"):
            assert answers == [PROTOCOL_HEADER]


@given(st.binary(max_size=200))
def test_noise_behind_a_protocol_header_is_answered_by_a_close_at_most(noise: bytes) -> None:
    start, *rest = answers_to(PROTOCOL_HEADER + noise, in_one_read)
    assert isinstance(start, tuple)
    assert len(rest) <= 1
