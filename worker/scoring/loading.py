"""A verified bundle becomes a model that may score.

Owns the order of the last checks: nothing is deserialised before the spec in the
bundle is known to be the one that the model was fitted with.
"""

from __future__ import annotations

import io
import pickle
import warnings
import zlib
from dataclasses import dataclass
from typing import Any

import joblib

from worker.bundle import Manifest, VerifiedBundle
from worker.drift import Reference
from worker.errors import BundleRejected, InvalidConfig
from worker.features import FeatureTransform, Spec
from worker.scoring.explain import check_sums
from worker.scoring.golden import Golden, check_golden, golden_rows
from worker.scoring.reasons import Reasons
from worker.scoring.scorer import Scorer

#: What unpickling bytes is known to raise when they are no pickle, or when a class
#: that they name is not installed or has changed.
_LOAD_ERRORS = (
    pickle.PickleError,
    ArithmeticError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    MemoryError,
    OSError,
    TypeError,
    ValueError,
    zlib.error,
)


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model that has reproduced its golden events here, and what it needs.

    Attributes
    ----------
    stages
        A transform for each of the spec's entities.
    reasons
        None for a kind of model that is not explained.
    threshold
        Payments whose published score reaches it are flagged.
    reference
        What live values are compared with; None in bundles from before there was one.
    golden_error
        By how much the score of a golden event differed here at most; it was allowed.
    """

    version: str
    spec: Spec
    stages: tuple[FeatureTransform, ...]
    scorer: Scorer
    reasons: Reasons | None
    threshold: float
    manifest: Manifest
    reference: Reference | None = None
    golden_error: float = 0.0


def load_model(bundle: VerifiedBundle) -> LoadedModel:
    """Load the model of a bundle; call it on the thread that will score.

    1. the spec is read; its fingerprints and features are those of the manifest, and
       of the reference if there is one
    2. the model is deserialised from the bytes that were verified
    3. the model can do what scoring needs
    4. the golden events give the published features and scores
    5. the reasons of their scores add up to them

    Raises
    ------
    BundleRejected
        At the first of these steps that fails.
    """
    try:
        return _load(bundle)
    except BundleRejected as rejected:
        raise BundleRejected(
            f"bundle {bundle.version} is rejected: {rejected}"
        ) from rejected.__cause__


def deserialise(raw: bytes) -> Any:
    """Return the model in verified bytes; this executes what they say.

    Raises
    ------
    BundleRejected
        They are no pickle, or need something that is not installed.
    """
    with warnings.catch_warnings():
        # Differing patch releases are reported, and the golden events decide.
        warnings.filterwarnings("ignore", message="Trying to unpickle estimator")
        try:
            return joblib.load(io.BytesIO(raw))
        except _LOAD_ERRORS as error:
            raise BundleRejected(
                f"model.joblib cannot be loaded ({type(error).__name__}: {error}); "
                "install what it was made with, or publish it again"
            ) from error


def _load(bundle: VerifiedBundle) -> LoadedModel:
    spec = _read_spec(bundle.files["transform.toml"])
    _check_spec(spec, bundle.manifest)
    golden = Golden.from_json(bundle.files["golden.json"])
    reference = _read_reference(bundle.files.get("reference.json"), spec)
    model = deserialise(bundle.files["model.joblib"])
    scorer = Scorer(model, feature_count=len(spec.feature_names))
    golden_error = check_golden(golden, spec, scorer)
    reasons = Reasons.of_model(model, spec)
    if reasons is not None:
        X = golden_rows(golden, spec)
        check_sums(reasons.contributions, reasons.unit, X, scorer.score(X))
    return LoadedModel(
        version=bundle.version,
        spec=spec,
        stages=tuple(FeatureTransform(spec, i) for i in range(len(spec.entities))),
        scorer=scorer,
        reasons=reasons,
        threshold=bundle.manifest.threshold,
        manifest=bundle.manifest,
        reference=reference,
        golden_error=golden_error,
    )


def _read_spec(raw: bytes) -> Spec:
    try:
        return Spec.from_toml(raw.decode())
    except (InvalidConfig, UnicodeDecodeError) as error:
        raise BundleRejected(f"transform.toml is not usable: {error}") from None


def _read_reference(raw: bytes | None, spec: Spec) -> Reference | None:
    return None if raw is None else Reference.from_json(raw, spec.feature_names)


def _check_spec(spec: Spec, manifest: Manifest) -> None:
    """Compare what the spec means here with what it meant to the publisher."""
    problems = [
        f"{name} is {found}, the manifest says {expected}"
        for name, found, expected in (
            ("the spec's name", spec.name, manifest.spec),
            ("state_fingerprint", spec.state_fingerprint, manifest.state_fingerprint),
            (
                "feature_fingerprint",
                spec.feature_fingerprint,
                manifest.feature_fingerprint,
            ),
            ("feature_names", spec.feature_names, manifest.feature_names),
        )
        if found != expected
    ]
    if problems:
        lines = "\n".join(f"  - {problem}" for problem in problems)
        raise BundleRejected(
            f"the features have another meaning here:\n{lines}\n"
            "Train and publish again with this version of the software."
        )
