"""Definitions: what is declared on a broker, as the JSON that RabbitMQ exports and imports.

A dump from a RabbitMQ comes up here, and one from here in a RabbitMQ. It has users, virtual hosts, permissions,
policies and topology, and no messages. This package turns records into plain values (``exporting``) and back
(``items``), and brings them in (``importing``); it knows no file.
"""

from amqpd.broker.definitions.exporting import export_definitions
from amqpd.broker.definitions.importing import Imported, import_definitions
from amqpd.broker.definitions.items import DefinitionsUnusable

__all__ = ["DefinitionsUnusable", "Imported", "export_definitions", "import_definitions"]
