"""Runs a command in this process, with settings instead of an environment."""

from __future__ import annotations

import argparse
from types import ModuleType

from worker.config import Settings


def run_command(module: ModuleType, settings: Settings, *arguments: str) -> int:
    """Parse a command's own arguments, run it, and return its exit code."""
    parser = argparse.ArgumentParser(prog=module.__name__.rpartition(".")[2])
    module.add_arguments(parser)
    return int(module.main(parser.parse_args(list(arguments)), settings))
