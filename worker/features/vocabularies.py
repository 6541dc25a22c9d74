"""The vocabularies of categories, as a spec's last tables.

Training learns them and writes them behind what the author wrote; there they are read
like everything else. Knows no data.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence

from worker.features.declarations import CategoryFeature, Feature
from worker.features.spec_table import Table

_COMMENT = "# Learnt from the training window. Without this table it is learnt anew."


def read_vocabularies(
    document: Table, features: Sequence[Feature]
) -> tuple[Feature, ...]:
    """Return the features, those of categories with the vocabularies of a document."""
    if not document.has("vocabulary"):
        return tuple(features)
    categories = {f.name: f for f in features if isinstance(f, CategoryFeature)}
    found: dict[str, tuple[str, ...]] = {}
    for table in document.tables("vocabulary"):
        name, values = table.text("feature"), table.texts("values")
        table.finish()
        if name not in categories:
            table.problem(f"{name!r} is no feature with a `category`", "feature")
            continue
        if name in found:
            table.problem(f"{name!r} has a vocabulary already", "feature")
        most = categories[name].max_values
        if len(values) > most:
            table.problem(
                f"{len(values)} values are more than max_values, which is {most}",
                "values",
            )
        if len(set(values)) < len(values):
            table.problem("a value stands twice", "values")
        found[name] = values
    return tuple(with_vocabulary(feature, found) for feature in features)


def with_vocabulary(
    feature: Feature, vocabularies: Mapping[str, tuple[str, ...]]
) -> Feature:
    """Return the feature, with its vocabulary if there is one for it."""
    if isinstance(feature, CategoryFeature) and feature.name in vocabularies:
        return dataclasses.replace(feature, vocabulary=vocabularies[feature.name])
    return feature


def vocabulary_toml(name: str, values: Sequence[str]) -> str:
    """Write a vocabulary as the table of a spec.

    >>> print(vocabulary_toml("shop", ["books", "tea & coffee"]))
    # Learnt from the training window. Without this table it is learnt anew.
    [[vocabulary]]
    feature = "shop"
    values = [
      "books",
      "tea & coffee",
    ]
    """
    lines = [f"  {_quoted(value)}," for value in values]
    head = [_COMMENT, "[[vocabulary]]", f"feature = {_quoted(name)}", "values = ["]
    return "\n".join([*head, *lines, "]"])


def _quoted(text: str) -> str:
    """Write a basic string of TOML: one of JSON, but for the delete character."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
