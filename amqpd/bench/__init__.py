"""The load generator behind ``amqpd bench``, for any broker of AMQP 0-9-1.

Must cost far less than the broker it measures, and say so where it did not. It knows no broker from the inside: what it
uses of amqpd is ``wire``, the codec.

Strategy: every role (a producer, some consumers, both ends of a round trip) is a process of its own. Producers send
blocks of messages that were encoded before the start; consumers count deliveries by octets, since all deliveries of a
run have one size. So a message costs either side a share of a system call. In reading order: ``workload`` and
``scenarios`` say what is run, ``topology`` and ``frames`` what that is on the wire, ``roles`` how processes are led,
``producer``, ``consumer``, ``round_trips``, ``churn`` and ``idle`` what they do, ``measuring`` how figures come of it,
``trials`` and ``sweep`` how often, and ``report`` and ``plot`` how they are shown.
"""
