"""What is wrong with a file that somebody gave us."""


class BadFile(ValueError):
    """A file that cannot be taken as it is; the message says why and what to change, without the file's name."""
