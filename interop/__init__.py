"""Interoperability tests: real AMQP clients against a broker started as a process. See README.md beside this file."""
