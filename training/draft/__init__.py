"""Drafts a spec from a file: what each column may be, and the features that follow.

Guesses, and says why; the person who knows the data decides.
"""

from training.draft.features import draft_toml
from training.draft.roles import Roles, Wishes, guess_roles
from training.draft.sample import Sample, read_sample

__all__ = ["Roles", "Sample", "Wishes", "draft_toml", "guess_roles", "read_sample"]
