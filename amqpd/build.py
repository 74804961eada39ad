"""Which build of amqpd runs: its sources, or what mypyc has made of its core (see hatch_build.py)."""

import platform

from amqpd import errors

COMPILED = not str(errors.__file__).endswith(".py")
"""One module tells for all: they are compiled together or not at all."""

BUILD = "compiled with mypyc" if COMPILED else "pure Python"

INTERPRETER = f"{platform.python_implementation()} {platform.python_version()}"
