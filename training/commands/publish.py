"""fraud-train publish, rollback and export: what happens to bundles."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from training.commands.arguments import Parser, Subparsers, add_command, add_models
from worker.errors import ExitCode

if TYPE_CHECKING:
    from worker.scoring import LoadedModel

_PUBLISH = """
Loads the bundle as a worker would, golden events included, then lets DIR/CURRENT name
it. Workers use it from their next start on.

examples:
  fraud-train publish 2018-07-31.1
  fraud-train publish candidate --models /srv/models --public-key keys/models.pem
"""

_ROLLBACK = """
By default, back to the version that was in use when the present one was made.

examples:
  fraud-train rollback
  fraud-train rollback 2018-07-24.1 --models /srv/models
"""

_EXPORT = """
Writes the scikit-learn object alone, for programs that know nothing of bundles. It
computes no features and checks nothing: whoever loads the file executes it.

examples:
  fraud-train export model.joblib
  fraud-train export model.pkl --format pickle --version 2018-07-31.1
"""


def add(subparsers: Subparsers) -> None:
    """Declare the commands."""
    parser = add_command(
        subparsers,
        "publish",
        run_publish,
        summary="put a model in use, after checking that it can be loaded",
        text=_PUBLISH,
    )
    parser.add_argument("version", metavar="VERSION")
    _add_common(parser)
    parser = add_command(
        subparsers,
        "rollback",
        run_rollback,
        summary="put an earlier model in use",
        text=_ROLLBACK,
    )
    parser.add_argument("version", metavar="VERSION", nargs="?")
    _add_common(parser)
    parser = add_command(
        subparsers,
        "export",
        run_export,
        summary="write a bundle's model as a plain file",
        text=_EXPORT,
    )
    parser.add_argument("out", type=Path, metavar="FILE")
    parser.add_argument(
        "--format",
        choices=["joblib", "joblib-gzip", "pickle"],
        default="joblib",
        help="(default: %(default)s)",
    )
    parser.add_argument(
        "--version", metavar="VERSION", help="(default: the version in use)"
    )
    _add_common(parser)


def _add_common(parser: Parser) -> None:
    add_models(parser)
    parser.add_argument(
        "--public-key",
        type=Path,
        metavar="F",
        help="PEM file; the bundle must be signed by its private key",
    )


def run_publish(args: argparse.Namespace) -> int:
    """Put a version in use."""
    from training.publish import publish

    return _say(publish(args.models, args.version, public_key=args.public_key))


def run_rollback(args: argparse.Namespace) -> int:
    """Put an earlier version in use."""
    from training.publish import rollback

    return _say(rollback(args.models, args.version, public_key=args.public_key))


def run_export(args: argparse.Namespace) -> int:
    """Write a model as a file."""
    from training.export import export_model

    path = export_model(
        args.models,
        args.out,
        file_format=args.format,
        version=args.version,
        public_key=args.public_key,
    )
    print(path)
    return ExitCode.OK


def _say(loaded: LoadedModel) -> int:
    print(f"in use: {loaded.version} ({loaded.manifest.model})")
    return ExitCode.OK
