"""What the tests of the wire share."""

from hypothesis import settings

# hypothesis allows an example 200 ms, which a busy machine can miss; the time limit of each test is enough.
settings.register_profile("amqpd", deadline=None)
settings.load_profile("amqpd")
