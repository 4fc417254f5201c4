"""Imports point one way: stream -> models -> kernels, and the lower layers need no web library."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("stream", "models", "kernels", "benchmarks", "tests")
ALLOWED = {
    "kernels": {"kernels"},
    "models": {"models", "kernels"},
    "stream": {"stream", "models", "kernels"},
    "benchmarks": {"benchmarks", "stream", "models", "kernels"},
}
WEB = {"aiortc", "aioice", "av", "fastapi", "uvicorn", "uvloop", "starlette"}


def _imports(path: Path) -> Iterator[str]:
    """Top-level package of every import in a file, the ones inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import, want the full name"
            yield (node.module or "").partition(".")[0]


def _reached(entry: str) -> dict[Path, set[str]]:
    """Files of `benchmarks` and `stream` that a module reaches, with all that they import, inside functions too."""
    found: dict[Path, set[str]] = {}
    waiting = [entry]
    while waiting:
        path = ROOT / (waiting.pop().replace(".", "/") + ".py")
        if path in found or not path.exists():
            continue
        tree = ast.parse(path.read_text(), str(path))
        named = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                named |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
        found[path] = named
        waiting += [name for name in named if name.startswith(("benchmarks.", "stream."))]
    return found


def _sources(package: str) -> list[Path]:
    return [path for path in (ROOT / package).rglob("*.py") if "__pycache__" not in path.parts]


@pytest.mark.parametrize("package", ALLOWED)
def test_a_layer_imports_only_itself_and_the_layers_below(package):
    sources = _sources(package)
    assert sources, f"no source found under {package}: the test looks in the wrong place"
    upward = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sources
        for name in _imports(path)
        if name in PACKAGES and name not in ALLOWED[package] and name != package
    }
    # the command line hands `visavis bench` over; nothing else in stream may know the benchmarks
    assert upward - {"stream/commands/tools.py imports benchmarks"} == set()


@pytest.mark.parametrize("package", ["models", "kernels"])
def test_no_file_of_the_lower_layers_names_a_web_library(package):
    named = {f"{p.relative_to(ROOT)} imports {n}" for p in _sources(package) for n in _imports(p) if n in WEB}
    assert named == set()


def test_the_bench_of_a_gpu_machine_reaches_nothing_that_only_a_server_needs():
    """`make bench-gpu` runs where there is no web stack: `python -m benchmarks` may not lead to one, however late."""
    reached = _reached("benchmarks.__main__") | _reached("benchmarks.cold_start")  # which it starts as a process
    assert {path.stem for path in reached} >= {
        "execute",
        "report",
        "bench_kernels",
        "bench_parity",
        "bench_stages",
        "batch",
    }
    bad = {
        f"{path.name} imports {name}"
        for path, names in reached.items()
        for name in names
        if name.partition(".")[0] in WEB | {"PIL", "dlib", "msgpack", "tqdm", "webrtcvad"}
    }
    assert bad == set()
    assert "stream.vp8" in {name for names in _reached("benchmarks.command").values() for name in names}


def test_models_and_kernels_import_with_torch_numpy_and_safetensors_alone():
    """On a GPU bench machine nothing else is installed, so importing the run-time modules must need nothing else."""
    run_time = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for package in ("kernels", "models")
        for path in sorted(_sources(package))
        if "training" not in path.parts and path.name not in ("kernel.py", "__init__.py")
    ]
    absent = sorted(WEB | {"dlib", "openvino", "PIL", "msgpack", "pydantic", "webrtcvad", "pynvml", "tqdm", "triton"})
    script = (
        "import sys, importlib\n"
        f"for name in {absent!r}: sys.modules[name] = None\n"  # None makes its import fail
        f"for name in {run_time!r}: importlib.import_module(name)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_the_import_reader_sees_imports_inside_functions(tmp_path):
    source = tmp_path / "late.py"
    source.write_text("def f():\n    import av.video\n    from fastapi import FastAPI\n")
    assert set(_imports(source)) == {"av", "fastapi"}
