"""The numbers of AMQP 0-9-1 that more than one module needs: frames, and the ids of the classes.

Method ids stand at their methods (``methods``), reply codes at their errors (``amqpd.errors``).
"""

from typing import Final

# 4.2.2: what a client sends first: "AMQP", a zero, and the version 0-9-1.
PROTOCOL_HEADER: Final = b"AMQP\x00\x00\x09\x01"

# 4.2.3: a frame is type (octet), channel (short), size of the payload (long), payload, frame-end (octet).
FRAME_METHOD: Final = 1
FRAME_HEADER: Final = 2
FRAME_BODY: Final = 3
FRAME_HEARTBEAT: Final = 8
FRAME_END: Final = 0xCE
FRAME_HEAD_SIZE: Final = 7  # octets before the payload
FRAME_OVERHEAD: Final = 8  # octets that are not payload: the head and the frame-end; frame-max counts them (4.2.3)
FRAME_MIN_SIZE: Final = 4096  # what both peers take before frame-max is agreed, and its least value (connection.tune)

CLASS_CONNECTION: Final = 10
CLASS_CHANNEL: Final = 20
CLASS_ACCESS: Final = 30
CLASS_EXCHANGE: Final = 40
CLASS_QUEUE: Final = 50
CLASS_BASIC: Final = 60
CLASS_CONFIRM: Final = 85
CLASS_TX: Final = 90
