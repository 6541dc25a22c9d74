"""Writes the files of Prometheus and Grafana again."""

from __future__ import annotations

from pathlib import Path

from deploy.files import generated

_HERE = Path(__file__).parent


def main() -> None:
    """Write every file that is made here."""
    for name, text in generated().items():
        path = _HERE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    main()
