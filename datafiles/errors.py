"""What is wrong with a file that somebody gave us."""


class BadFile(ValueError):
    """A file that cannot be taken as it is.

    `message` says why and what to change, without the file's name; `line` is the line in question, if it is one.
    """

    def __init__(self, message: str, *, line: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.line = line

    def at(self, line: int) -> "BadFile":
        """The same, in a line of the file."""
        return BadFile(self.message, line=line)
