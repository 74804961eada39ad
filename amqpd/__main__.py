"""``python -m amqpd``: the same as the command ``amqpd``."""

from amqpd.cli import main

main(prog_name="amqpd")
