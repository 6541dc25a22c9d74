"""The online half: reads transactions from a stream, answers each with a score."""

#: As in pyproject.toml; dead letters and metrics carry it.
__version__ = "0.1.0"
