"""Celery and kombu against the broker: real workers, each a process of its own."""
