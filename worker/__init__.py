"""The online half: reads transactions from a stream, answers each with a score."""
