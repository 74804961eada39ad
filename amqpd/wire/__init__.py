"""Bytes to values and back, and nothing else.

Pure functions: no IO, no clock, no broker, no state between two calls. Whatever bytes arrive, the result is a value or
an ``errors.AMQPError``.

``grammar`` declares the formats of the specification with construct; ``methods`` declares every method on top of it,
once. Together they are the codec of what is rare (connections, channels, declarations). What happens for each message
is written by hand in ``tables``, ``properties`` and ``fast``; tests hold those against the grammar in both directions.
"""
