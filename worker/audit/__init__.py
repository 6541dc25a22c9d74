"""Audits a stream: what was published against what the log says should have been."""
