"""Who may connect, and what they may touch.

Pure: no IO and no clock; the only outside thing is the randomness of salts. ``users`` answers who somebody is,
``permissions`` what they may do in a vhost, ``passwords`` keeps what users know without keeping it, ``patterns`` reads
regular expressions. Nothing here knows AMQP: the protocol layer turns a refusal into its own words.
"""

from amqpd.auth.passwords import PasswordHash
from amqpd.auth.permissions import FULL_ACCESS, Access, Operation, Permission, Permissions, TopicPermission
from amqpd.auth.users import AuthenticationFailed, User, Users

__all__ = [
    "FULL_ACCESS",
    "Access",
    "AuthenticationFailed",
    "Operation",
    "PasswordHash",
    "Permission",
    "Permissions",
    "TopicPermission",
    "User",
    "Users",
]
