"""The settings: declared once, read once, all problems told at once.

Every setting is a `FRAUD_*` variable of the environment and a flag of the commands;
its declaration in settings.py also makes `--help` and the README's table.
"""

from worker.config.kinds import Secret
from worker.config.presentation import add_flags, overrides_of, settings_table
from worker.config.reading import variable
from worker.config.settings import Settings

__all__ = [
    "Secret",
    "Settings",
    "add_flags",
    "overrides_of",
    "settings_table",
    "variable",
]
