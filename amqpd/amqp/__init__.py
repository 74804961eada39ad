"""AMQP 0-9-1 as state machines over a broker's sessions: octets in, octets out, no input or output of its own.

limits        what a peer may ask for
states        the transition tables
sasl          who the peer says it is
outbox        octets on their way to the peer
channel       content in, deliveries out, one session
handlers/     what each method of a channel does
handshake     from the protocol header to connection.open
connection    frames, channels, errors, heartbeats, and the end
"""
