"""One module for each command of `fraud-worker`."""
