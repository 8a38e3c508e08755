"""What CI holds besides the tests: ruff, mypy --strict, the arrows, and the tests on the built wheel.

The last one builds the wheel, installs it into a fresh environment that sees the installed libraries but not the
checkout, and runs a broad part of the suite there: what is missing from the wheel shows here and nowhere else.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
CODE = ["arbiter_tui", "providers", "tests", "benchmarks", "tools", "screenshots"]


def run(title: str, *command: str | Path, cwd: Path = ROOT) -> None:
    print(f"== {title}", flush=True)
    code = subprocess.run([str(c) for c in command], cwd=cwd).returncode
    if code:
        sys.exit(f"{title}: failed (exit {code})")


def wheel_tests() -> None:
    with tempfile.TemporaryDirectory(prefix="arbiter-wheel-") as folder:
        place = Path(folder)
        run("build the wheel", sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", place)
        target = place / "site"
        built = next(place.glob("*.whl"))
        run("install the wheel", sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", target, built)
        # -P and an explicit path: the installed files come first, and the checkout is not importable at all.
        code = (
            "import sys; site = sys.argv[1];"
            "sys.path[:] = [site] + [p for p in sys.path if 'site-packages' in p or 'arbiter' not in p];"
            "import os; os.environ['PYTHONPATH'] = site;"  # for the processes that run the tests side by side
            "import arbiter_tui, arbiter_providers, pytest;"
            "assert arbiter_tui.__file__.startswith(site), arbiter_tui.__file__;"
            "raise SystemExit(pytest.main(sys.argv[2:]))"
        )
        tests = [ROOT / "tests" / name for name in ("core", "engine", "adapters", "gateway")]
        options = ["-q", "-x", "-n", "3", "--rootdir", ROOT, "-c", ROOT / "pyproject.toml", "-p", "no:cacheprovider"]
        run("tests on the built wheel", sys.executable, "-P", "-c", code, target, *tests, *options, cwd=place)


def main() -> int:
    existing = [name for name in CODE if (ROOT / name).exists()]
    run("ruff", BIN / "ruff", "check", *existing)
    run("ruff format", BIN / "ruff", "format", "--check", *existing)
    run("mypy --strict", BIN / "mypy")
    run("import-linter", BIN / "lint-imports", "--no-cache")
    wheel_tests()
    print("== all checks passed")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
