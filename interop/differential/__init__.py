"""Differential tests: each scenario is played on a RabbitMQ and on amqpd, and what the two answered is compared."""
