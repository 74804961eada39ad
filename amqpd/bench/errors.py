"""What ends a benchmark, in words for whoever started it."""


class BenchError(Exception):
    """The run cannot go on. The text is one line for the terminal."""


class WrongOption(BenchError):
    """A value that a workload cannot have; ``option`` is the field of ``Workload`` it was given for."""

    def __init__(self, option: str, text: str) -> None:
        super().__init__(text)
        self.option = option
