"""The commands of fraud-train: each declares its arguments, calls, and prints."""
