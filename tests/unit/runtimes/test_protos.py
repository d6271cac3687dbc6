"""The generated messages are those of the `.proto` files beside them, and nobody without such an engine pays for
gRPC."""

import importlib
import subprocess
import sys

import pytest

from tests.helpers.paths import ROOT

FOLDERS = ("runtimes/proto", "tests/standins/proto")
PROTOS = sorted(path.relative_to(ROOT) for folder in FOLDERS for path in (ROOT / folder).glob("*.proto"))


def test_generating_anew_yields_what_is_committed(tmp_path):
    assert PROTOS
    made = subprocess.run(
        [sys.executable, "-m", "grpc_tools.protoc", "-I", ".", f"--python_out={tmp_path}", f"--pyi_out={tmp_path}",
         *map(str, PROTOS)],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert (made.returncode, made.stderr) == (0, "")
    fresh, committed = (
        {f"{folder}/{path.name}": path.read_text() for folder in FOLDERS for path in (root / folder).glob("*_pb2.py*")}
        for root in (tmp_path, ROOT)
    )
    stale = [name for name in sorted({*fresh, *committed}) if fresh.get(name) != committed.get(name)]
    assert not stale, "run `make protos`"


def test_nobody_without_such_an_engine_imports_grpc():
    """The adapters' modules load with their kind; what they speak loads with the first call."""
    code = "import runtimes.engine_registry, runtimes.transport.grpc_channel, bot.app, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"grpc", "google.protobuf"} & set(loaded.stdout.split())


@pytest.mark.parametrize("proto", PROTOS, ids=lambda path: path.stem)
def test_a_proto_tells_its_package_as_the_engine_names_it(proto):
    """A method is called by its package's name, and an Any is known by it."""
    from google.protobuf import descriptor_pool

    importlib.import_module(".".join(proto.with_suffix("").parts) + "_pb2")
    package = descriptor_pool.Default().FindFileByName(str(proto)).package
    assert package.startswith(("containerd.", "io.containerd.", "runtime."))
