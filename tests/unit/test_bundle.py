"""A bundle is either exactly what was published, or rejected with a remedy."""

from __future__ import annotations

import json
import os
import pickle
import resource
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.bundle_builders import make_keys
from worker.bundle import (
    DataWindow,
    FileEntry,
    Manifest,
    current_version,
    installed_libraries,
    is_version,
    read_bundle,
    set_current,
    sign_bundle,
    versions,
    write_bundle,
)
from worker.errors import BundleRejected, InvalidConfig

VERSION = "2018-07-31.1"
FILES = {
    "model.joblib": b"no pickle at all",
    "transform.toml": b"format = 1\n",
    "golden.json": b"{}",
    "card.md": b"# A card\n",
}


def build_manifest(version: str = VERSION, **changes: Any) -> Manifest:
    manifest = Manifest(
        version=version,
        spec="book",
        model="scikit-learn HistGradientBoostingClassifier",
        state_fingerprint="a" * 64,
        feature_fingerprint="b" * 64,
        feature_names=("amount", "customer_transaction_count_1d"),
        threshold=0.25,
        libraries=installed_libraries(),
        data_window=DataWindow(first_ms=0, last_ms=86_400_000, rows=1000, frauds=9),
        metrics={"average_precision": 0.62},
    )
    return replace(manifest, **changes)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A directory with one bundle, in use."""
    models = tmp_path / "models"
    write_bundle(models, build_manifest(), FILES)
    set_current(models, VERSION)
    return models


@pytest.fixture
def keys(tmp_path: Path) -> Callable[[str], tuple[Path, Path]]:
    """Makes a pair of key files, as the documentation says, by openssl's format."""
    return lambda name: make_keys(tmp_path / name)


class Evil:
    """Leaves a trace when it is unpickled."""

    def __init__(self, trace: Path):
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.trace),))


def edit_manifest(models: Path, **changes: Any) -> None:
    """Rewrite the manifest as JSON that says something else."""
    path = models / VERSION / "manifest.json"
    document = json.loads(path.read_bytes())
    document.update(changes)
    path.write_text(json.dumps(document))


def rewrite_manifest(models: Path, **changes: Any) -> None:
    """Rewrite the manifest as its publisher would: with a digest that fits."""
    path = models / VERSION / "manifest.json"
    manifest = Manifest.from_json(path.read_bytes())
    path.write_bytes(replace(manifest, **changes).to_json())


def rejection(models: Path, **arguments: Any) -> str:
    with pytest.raises(BundleRejected) as caught:
        read_bundle(models, **arguments)
    return str(caught.value)


# What is accepted


def test_a_written_bundle_is_read_back_byte_for_byte(models: Path) -> None:
    bundle = read_bundle(models)

    assert dict(bundle.files) == FILES
    assert bundle.version == VERSION
    assert replace(bundle.manifest, files={}) == build_manifest()
    assert not bundle.is_signed
    assert bundle.differences == ()


def test_the_same_content_gives_the_same_digest(models: Path, tmp_path: Path) -> None:
    write_bundle(tmp_path / "elsewhere", build_manifest(), FILES)

    there = read_bundle(tmp_path / "elsewhere", VERSION)

    assert there.digest == read_bundle(models).digest


def test_files_beyond_the_required_ones_may_come_with_the_bundle(
    tmp_path: Path,
) -> None:
    write_bundle(tmp_path, build_manifest(), {**FILES, "report.html": b"<html>"})

    assert read_bundle(tmp_path, VERSION).files["report.html"] == b"<html>"


def test_every_user_may_read_a_bundle_and_only_its_owner_write_it(models: Path) -> None:
    modes = {
        path.name: stat.S_IMODE(path.stat().st_mode)
        for path in [*(models / VERSION).iterdir(), models / VERSION]
    }

    assert modes.pop(VERSION) == 0o755
    assert set(modes.values()) == {0o644}


# What is rejected


@pytest.mark.parametrize("name", [*FILES, "manifest.json"])
def test_a_flipped_bit_at_any_place_of_any_file_rejects_the_bundle(
    models: Path, name: str
) -> None:
    path = models / VERSION / name
    published = path.read_bytes()
    for place in range(len(published)):
        altered = bytearray(published)
        altered[place] ^= 1 << place % 8
        path.write_bytes(altered)

        assert name in rejection(models)


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_has_grown_or_shrunk_rejects_the_bundle(
    models: Path, name: str
) -> None:
    path = models / VERSION / name
    for content in (FILES[name] + b"\n", FILES[name][:-1], b""):
        path.write_bytes(content)

        assert f"{name} is not the file that was published" in rejection(models)


@pytest.mark.parametrize("name", [*FILES, "manifest.json"])
def test_a_missing_file_rejects_the_bundle(models: Path, name: str) -> None:
    (models / VERSION / name).unlink()

    assert name in rejection(models)


@pytest.mark.parametrize("name", ["notes.txt", ".hidden", "model.joblib.bak"])
def test_a_stray_file_rejects_the_bundle(models: Path, name: str) -> None:
    (models / VERSION / name).write_bytes(b"")

    assert f"{name} is not in manifest.json" in rejection(models)


def test_a_symbolic_link_rejects_the_bundle_even_to_the_right_bytes(
    models: Path, tmp_path: Path
) -> None:
    (models / VERSION / "card.md").rename(tmp_path / "card.md")
    (models / VERSION / "card.md").symlink_to(tmp_path / "card.md")

    assert "card.md is no plain file" in rejection(models)


def test_a_bundle_that_is_a_symbolic_link_is_rejected(
    models: Path, tmp_path: Path
) -> None:
    (models / VERSION).rename(tmp_path / "bundle")
    (models / VERSION).symlink_to(tmp_path / "bundle")

    assert "it is a link or a file" in rejection(models)


def test_a_subdirectory_rejects_the_bundle(models: Path) -> None:
    (models / VERSION / "more").mkdir()

    assert "more is no plain file" in rejection(models)


def test_a_named_pipe_rejects_the_bundle_and_hangs_nothing(models: Path) -> None:
    os.mkfifo(models / VERSION / "pipe")

    assert "pipe is no plain file" in rejection(models)


def test_an_evil_pickle_is_rejected_and_never_executed(
    models: Path, tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    evil = pickle.dumps(Evil(trace))
    (models / VERSION / "model.joblib").write_bytes(evil)

    rejection(models)

    assert not trace.exists()
    pickle.loads(evil)  # noqa: S301 - it would have left its trace
    assert trace.exists()


def test_every_altered_file_is_named_at_once(models: Path) -> None:
    for name in ("card.md", "golden.json"):
        (models / VERSION / name).write_bytes(b"altered")

    message = rejection(models)

    assert "card.md is not the file" in message
    assert "golden.json is not the file" in message
    assert "roll back" in message


def test_a_renamed_bundle_is_rejected(models: Path) -> None:
    (models / VERSION).rename(models / "2018-08-01.1")

    message = rejection(models, version="2018-08-01.1")

    assert f"that of version {VERSION}" in message


# The manifest


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"{} {}"])
def test_a_manifest_that_is_no_json_object_is_rejected(
    models: Path, raw: bytes
) -> None:
    (models / VERSION / "manifest.json").write_bytes(raw)

    assert "Publish the bundle again" in rejection(models)


def test_every_problem_of_a_manifest_is_named(models: Path) -> None:
    edit_manifest(
        models,
        format=2,
        threshold=True,
        state_fingerprint="short",
        feature_names=["a", "a"],
        libraries={"numpy": "2.0.0"},
        data_window={"first_ms": 0, "last_ms": 1.5, "rows": 1},
        metrics={"auc": "good"},
        files={"../evil": {"size": 1, "sha256": "0" * 64}},
        surprise=1,
    )

    message = rejection(models)

    for problem in (
        "format: only 1 is known",
        "threshold: must be a number",
        "state_fingerprint: must be 64 hex digits",
        "feature_names: must be a list of different texts",
        "libraries.scikit-learn: missing",
        "data_window.last_ms: must be an integer",
        "data_window.frauds: missing",
        "metrics.auc: must be a number",
        "files.model.joblib: missing",
        "files.../evil: is not a plain file name",
        "surprise: unknown key",
    ):
        assert f"- {problem}" in message


def test_a_threshold_outside_of_the_scores_is_rejected(models: Path) -> None:
    edit_manifest(models, threshold=1.5)

    assert "threshold: must lie between 0 and 1" in rejection(models)


def test_a_manifest_without_end_is_not_read_to_its_end(models: Path) -> None:
    with (models / VERSION / "manifest.json").open("r+b") as file:
        file.truncate(1 << 40)

    assert "manifest.json is not JSON" in rejection(models)


def test_files_beyond_any_reason_are_not_read(models: Path) -> None:
    huge = dict.fromkeys(FILES, FileEntry(size=1 << 40, sha256="0" * 64))
    rewrite_manifest(models, files=huge)

    assert "exceed" in rejection(models)


# The libraries


@pytest.mark.parametrize(
    ("name", "version"),
    [("scikit-learn", "1.2.7"), ("numpy", "1.26.4"), ("joblib", "0.17.0")],
)
def test_another_generation_of_a_library_rejects_the_bundle(
    models: Path, name: str, version: str
) -> None:
    rewrite_manifest(models, libraries={**installed_libraries(), name: version})

    message = rejection(models)

    assert f"{name} {version} made the bundle, {installed_libraries()[name]}" in message
    assert "Install these versions" in message


def test_another_patch_release_is_accepted_and_reported(models: Path) -> None:
    installed = installed_libraries()
    major, minor, *_ = installed["scikit-learn"].split(".")
    other = f"{major}.{minor}.99"
    rewrite_manifest(models, libraries={**installed, "scikit-learn": other})

    (difference,) = read_bundle(models).differences

    assert difference.startswith(f"scikit-learn {other} made the bundle")


def test_a_library_that_is_not_installed_rejects_the_bundle(models: Path) -> None:
    rewrite_manifest(
        models, libraries={**installed_libraries(), "no-such-trees": "4.0"}
    )

    assert "no-such-trees 4.0 made the bundle, none is installed" in rejection(models)


def test_all_differing_libraries_are_named_at_once(models: Path) -> None:
    old = {"numpy": "2.0.99", "scikit-learn": "1.2.0"}
    rewrite_manifest(models, libraries={**installed_libraries(), **old})

    message = rejection(models)

    assert "numpy 2.0.99" in message
    assert "scikit-learn 1.2.0" in message


# Signatures


def test_a_signed_bundle_is_accepted_by_its_key(models: Path, keys: Any) -> None:
    private, public = keys("ours")
    sign_bundle(models, VERSION, private)

    bundle = read_bundle(models, public_key=public)

    assert bundle.is_signed
    assert dict(bundle.files) == FILES


def test_a_bundle_can_be_signed_while_it_is_written(tmp_path: Path, keys: Any) -> None:
    private, public = keys("ours")
    write_bundle(tmp_path / "models", build_manifest(), FILES, private_key=private)

    assert read_bundle(tmp_path / "models", VERSION, public_key=public).is_signed


def test_an_unsigned_bundle_is_rejected_where_a_key_is_configured(
    models: Path, keys: Any
) -> None:
    _, public = keys("ours")

    message = rejection(models, public_key=public)

    assert "manifest.sig is missing" in message
    assert "sign the bundle" in message


def test_a_signature_by_another_key_is_rejected(models: Path, keys: Any) -> None:
    theirs, _ = keys("theirs")
    _, ours = keys("ours")
    sign_bundle(models, VERSION, theirs)

    assert "manifest.sig does not fit" in rejection(models, public_key=ours)


@pytest.mark.parametrize("signature", [b"", b"\0" * 64, b"\0" * 65, b"x"])
def test_a_broken_signature_is_rejected(
    models: Path, keys: Any, signature: bytes
) -> None:
    _, public = keys("ours")
    (models / VERSION / "manifest.sig").write_bytes(signature)

    assert "manifest.sig does not fit" in rejection(models, public_key=public)


def test_an_evil_pickle_with_a_matching_manifest_fails_by_its_signature(
    models: Path, tmp_path: Path, keys: Any
) -> None:
    """Whoever can write the manifest can make digests fit, and no signature."""
    private, public = keys("ours")
    sign_bundle(models, VERSION, private)
    old_signature = (models / VERSION / "manifest.sig").read_bytes()
    trace = tmp_path / "trace"
    evil = {**FILES, "model.joblib": pickle.dumps(Evil(trace))}
    write_bundle(tmp_path / "forged", build_manifest(), evil)
    (tmp_path / "forged" / VERSION / "manifest.sig").write_bytes(old_signature)

    message = rejection(tmp_path / "forged", version=VERSION, public_key=public)

    assert "manifest.sig does not fit" in message
    assert not trace.exists()


def test_a_signature_is_ignored_where_no_key_is_configured(
    models: Path, keys: Any
) -> None:
    private, _ = keys("ours")
    sign_bundle(models, VERSION, private)

    assert not read_bundle(models).is_signed


def test_an_unusable_public_key_is_an_error_of_the_configuration(
    models: Path, keys: Any, tmp_path: Path
) -> None:
    private, _ = keys("ours")
    for path in (private, tmp_path / "absent.pub", models / VERSION / "card.md"):
        with pytest.raises(InvalidConfig, match="signing is not usable"):
            read_bundle(models, public_key=path)


def test_an_unusable_private_key_is_an_error_of_the_configuration(
    models: Path, keys: Any, tmp_path: Path
) -> None:
    _, public = keys("ours")
    for path in (public, tmp_path / "absent.key"):
        with pytest.raises(InvalidConfig, match="signing is not usable"):
            sign_bundle(models, VERSION, path)
    assert not (models / VERSION / "manifest.sig").exists()


def test_keys_of_another_kind_are_an_error_of_the_configuration(
    models: Path, tmp_path: Path
) -> None:
    private, public = tmp_path / "x.key", tmp_path / "x.pub"
    openssl("genpkey", "-algorithm", "x25519", "-out", private)
    openssl("pkey", "-in", private, "-pubout", "-out", public)

    with pytest.raises(InvalidConfig, match="of another kind"):
        sign_bundle(models, VERSION, private)
    with pytest.raises(InvalidConfig, match="of another kind"):
        read_bundle(models, public_key=public)


def test_a_key_without_the_package_for_it_says_what_to_install(models: Path) -> None:
    code = (
        "import sys; sys.modules['cryptography'] = None;"
        "from pathlib import Path; from worker.bundle import read_bundle;"
        "path = Path(sys.argv[1]); read_bundle(path);"
        "read_bundle(path, public_key=path / 'any.pub')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(models)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode != 0
    assert "pip install 'fraud-worker[signing]'" in done.stderr


def test_keys_and_signatures_are_those_of_openssl(models: Path, tmp_path: Path) -> None:
    """An operator can sign and verify by the commands that the documentation gives."""
    private, public = tmp_path / "openssl.key", tmp_path / "openssl.pub"
    directory = models / VERSION
    openssl("genpkey", "-algorithm", "ed25519", "-out", private)
    openssl("pkey", "-in", private, "-pubout", "-out", public)

    openssl(
        *("pkeyutl", "-sign", "-inkey", private, "-rawin"),
        *("-in", directory / "manifest.json", "-out", directory / "manifest.sig"),
    )

    assert read_bundle(models, public_key=public).is_signed
    sign_bundle(models, VERSION, private)
    openssl(
        *("pkeyutl", "-verify", "-pubin", "-inkey", public, "-rawin"),
        *("-in", directory / "manifest.json", "-sigfile", directory / "manifest.sig"),
    )


def openssl(*arguments: str | Path) -> None:
    command = ["openssl", *map(str, arguments)]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=30)
    except FileNotFoundError:
        pytest.skip("install openssl to check the documented commands")


# CURRENT and the names of versions


def test_current_names_the_bundle_in_use(models: Path) -> None:
    write_bundle(models, build_manifest("2018-08-07.1"), FILES)
    set_current(models, "2018-08-07.1")

    assert (models / "CURRENT").read_text() == "2018-08-07.1\n"
    assert read_bundle(models).version == "2018-08-07.1"


def test_current_that_names_nothing_is_rejected_with_what_there_is(
    models: Path,
) -> None:
    (models / "CURRENT").write_text("2019-01-01.1\n")

    message = rejection(models)

    assert "bundle 2019-01-01.1" in message
    assert f"it does not exist; versions here: {VERSION}" in message


def test_a_missing_current_says_how_to_publish(tmp_path: Path) -> None:
    assert "fraud-train publish" in rejection(tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"../other\n", b"a/b", b"\xff\n", b"a\nb\n", b"x" * 10_000]
)
def test_current_that_holds_no_name_is_rejected(models: Path, content: bytes) -> None:
    (models / "CURRENT").write_bytes(content)

    assert "does not hold the name of a version" in rejection(models)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "a/b", ".hidden", "CURRENT", "x" * 65, "a b", "ä"]
)
def test_a_name_that_is_unsafe_as_a_directory_is_no_version(
    models: Path, name: str
) -> None:
    assert not is_version(name)
    assert "cannot name a version" in rejection(models, version=name or "..")
    with pytest.raises(InvalidConfig):
        write_bundle(models, build_manifest(name), FILES)
    with pytest.raises(InvalidConfig):
        set_current(models, name)


def test_current_does_not_move_to_a_version_that_is_not_there(models: Path) -> None:
    with pytest.raises(InvalidConfig, match=r"no version '2019-01-01\.1'"):
        set_current(models, "2019-01-01.1")

    assert current_version(models) == VERSION


def test_versions_are_listed_without_what_is_none(models: Path) -> None:
    write_bundle(models, build_manifest("2018-08-07.1"), FILES)
    (models / "README.md").write_text("about models")
    (models / ".incoming-x").mkdir()

    assert versions(models) == [VERSION, "2018-08-07.1"]
    assert versions(models / "nowhere") == []


# Writing


def test_a_bundle_is_never_overwritten(models: Path) -> None:
    with pytest.raises(InvalidConfig, match="choose another version"):
        write_bundle(models, build_manifest(), {**FILES, "card.md": b"other"})

    assert dict(read_bundle(models).files) == FILES


def test_an_empty_directory_of_that_name_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / VERSION).mkdir()

    with pytest.raises(InvalidConfig, match="choose another version"):
        write_bundle(tmp_path, build_manifest(), FILES)


def test_a_bundle_that_could_not_be_read_leaves_nothing_behind(tmp_path: Path) -> None:
    incomplete = {name: FILES[name] for name in FILES if name != "golden.json"}

    with pytest.raises(BundleRejected, match=r"golden.json: missing"):
        write_bundle(tmp_path / "models", build_manifest(), incomplete)

    assert list((tmp_path / "models").iterdir()) == []


def test_an_unusable_key_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match="signing"):
        write_bundle(
            tmp_path / "models",
            build_manifest(),
            FILES,
            private_key=tmp_path / "absent.key",
        )

    assert list((tmp_path / "models").iterdir()) == []


def test_a_full_disk_leaves_nothing_behind(models: Path) -> None:
    before = sorted(path.name for path in models.iterdir())
    large = {**FILES, "model.joblib": bytes(1 << 20)}

    with (
        files_limited_to(1 << 16),
        pytest.raises(InvalidConfig, match="File too large"),
    ):
        write_bundle(models, build_manifest("2018-08-07.1"), large)

    assert sorted(path.name for path in models.iterdir()) == before


def test_a_full_disk_leaves_current_as_it_was(models: Path) -> None:
    write_bundle(models, build_manifest("2018-08-07.1"), FILES)
    before = sorted(path.name for path in models.iterdir())

    with files_limited_to(1), pytest.raises(InvalidConfig, match="CURRENT cannot be"):
        set_current(models, "2018-08-07.1")

    assert current_version(models) == VERSION
    assert sorted(path.name for path in models.iterdir()) == before


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(InvalidConfig, match="cannot be written"):
        write_bundle(tmp_path / "file" / "models", build_manifest(), FILES)


@contextmanager
def files_limited_to(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond a size."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_reading_a_bundle_loads_nothing_that_could_execute_it(models: Path) -> None:
    """Neither scikit-learn nor joblib is imported before the bytes are trusted."""
    code = (
        "import sys; from pathlib import Path; from worker.bundle import read_bundle;"
        "read_bundle(Path(sys.argv[1]));"
        "print(sorted({'sklearn', 'joblib', 'numba', 'cryptography', 'worker.features'}"
        " & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(models)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert done.stdout.strip() == "[]"
