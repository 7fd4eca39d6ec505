"""The network in OpenVINO, on a CPU several times as fast as PyTorch."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# openvino is only partly typed.

import importlib.util
import os
import sys
import tempfile
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from inkdot.errors import UserError
from inkdot.model.runtimes.batches import Inferred, LogitArray, batches_of
from inkdot.records import RgbArray
from inkdot.storage.atomic import write_text
from inkdot.storage.hashing import file_sha256
from inkdot.storage.models.model_files import Precision

if TYPE_CHECKING:  # imports timm and torch, which a stored conversion does not need
    from inkdot.model.network import TileNetwork

_LEAST_REQUESTS = 2
"""Least batches in flight: one is computed while the next is read."""

_CONVERSION_VERSION = 2
"""Part of the names of stored conversions: 2 gives logits and features, 1 gave logits."""
_HINTS: dict[Precision, str] = {"float32": "f32", "bfloat16": "bf16"}


def openvino_installed() -> bool:
    """Whether the package is installed, without importing it."""
    return importlib.util.find_spec("openvino") is not None


@cache
def cpu_has_bfloat16() -> bool:
    """Whether OpenVINO is installed and this CPU computes in bfloat16 itself."""
    return openvino_installed() and "BF16" in openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


@cache
def openvino_core() -> Any:
    """OpenVINO's CPU plugin, one for the whole process.

    OpenVINO sets a signal stack for the thread and restores the former one at exit. With two cores of overlapping lifetime,
    the second restores the stack that the first has freed, and the next signal (such as SIGCHLD) kills the process.
    """
    return import_openvino().Core()


class OpenVinoNetwork:
    """A network compiled for this CPU.

    The conversion takes seconds and is stored beside the model, or in the user's cache folder where the model folder is
    read-only.

    Attributes:
        feature_count: Width of the embedding.
        threads: Number of threads.
    """

    def __init__(
        self,
        load: Callable[[], "TileNetwork"],
        side_px: int,
        folder: Path | None,
        weights_sha256: str,
        batch_size: int,
        precision: Precision = "float32",
    ) -> None:
        """Compile a network.

        Args:
            load: Loads the PyTorch network; called only when no conversion is stored.
            side_px: Side of the tiles.
            folder: The model folder; None for an encoder without one, whose conversion is kept in the user's cache folder.
            weights_sha256: Hash of the weights, part of the file name.
            batch_size: Tiles per batch, fixed for the compiled network.
            precision: Of the computation; the conversion is the same.

        Raises:
            UserError: OpenVINO is not installed, or the conversion can be stored nowhere.
        """
        openvino = import_openvino()
        self._batch_size = batch_size
        core = openvino_core()
        name = f"{weights_sha256[:16]}-{batch_size}-{openvino.__version__.split('-')[0]}-form{_CONVERSION_VERSION}.xml"
        stored = next((path for parent in _cache_folders(folder) if _is_intact(path := parent / name)), None)
        if stored is None:
            stored = _store(openvino, _convert(openvino, load(), side_px, batch_size), folder, name)
        # Read from the file even right after the conversion: the network in memory rounds differently.
        converted = core.read_model(stored)
        settings = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": _HINTS[precision]}
        settings |= thread_limit()
        self._compiled: Any = core.compile_model(converted, "CPU", settings)
        requests = max(_LEAST_REQUESTS, int(self._compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")))
        self._requests = [self._compiled.create_infer_request() for _ in range(requests)]
        self.threads = int(self._compiled.get_property("INFERENCE_NUM_THREADS"))
        # An encoder has no logits, and one output.
        *logits, self.feature_count = (int(output.shape[1]) for output in self._compiled.outputs)
        self._columns = sum(logits)

    def logits(self, tiles: Iterable[RgbArray]) -> LogitArray:
        """Logits of all heads, float32 [n, classes of all heads], in the order of the tiles; see :meth:`infer`."""
        parts = [batch.logits for batch in self.infer(tiles)]
        return np.concatenate([np.zeros((0, self._columns), np.float32), *parts])

    def infer(self, tiles: Iterable[RgbArray]) -> Iterator[Inferred]:
        """Logits and features batch by batch, in the order of the tiles.

        Args:
            tiles: uint8 RGB, shape [side, side, 3] each; read while earlier batches are computed.
        """
        # Requests are waited for in turn. OpenVINO's AsyncInferQueue calls back from its threads, which can deadlock with the
        # interpreter lock.
        idle, busy = deque(self._requests), deque[tuple[Any, int]]()
        try:
            for batch in batches_of(tiles, self._batch_size):
                if not idle:
                    yield _finished(*busy[0])
                    idle.append(busy.popleft()[0])
                request = idle.popleft()
                # Padded with copies: the compiled network takes one size only.
                padded = np.stack(batch + [batch[-1]] * (self._batch_size - len(batch)))
                request.start_async({0: padded})
                busy.append((request, len(batch)))
            for request, count in busy:
                yield _finished(request, count)
        finally:
            for request, _ in busy:
                request.wait()


def thread_limit() -> dict[str, str]:
    """The limit in OMP_NUM_THREADS, which users and Ray set and OpenVINO ignores."""
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return {"INFERENCE_NUM_THREADS": limit} if limit.isdecimal() and int(limit) > 0 else {}


def _finished(request: Any, count: int) -> Inferred:
    """Wait for a request; the first rows of its output."""
    request.wait()
    *logits, features = (np.array(tensor.data[:count], np.float32) for tensor in request.output_tensors)
    return Inferred(logits[0] if logits else features[:, :0], features)


def import_openvino() -> Any:
    """Import the package without its telemetry.

    Raises:
        UserError: It is not installed.
    """
    # None makes `import openvino_telemetry` fail, and OpenVINO then uses its own stub, which sends nothing.
    sys.modules.setdefault("openvino_telemetry", cast(Any, None))
    try:
        import openvino
    except ImportError:
        raise UserError(
            "runtime openvino: expected the package openvino, found none; pip install 'inkdot[openvino]', or use --runtime torch"
        ) from None
    return openvino


def _convert(openvino: Any, network: "TileNetwork", side_px: int, batch_size: int) -> Any:
    import torch

    from inkdot.model.export_wrappers import FeatureNetwork

    example = torch.zeros((batch_size, 3, side_px, side_px), dtype=torch.uint8)
    with warnings.catch_warnings():
        # OpenVINO traces by torch.jit, whose deprecation users cannot act on.
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        # Transformers compare shapes, which are constant here: batch and side are those of the example.
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # pyright: ignore[reportPrivateImportUsage]
        converted = openvino.convert_model(
            FeatureNetwork(network.cpu()).eval(),
            example_input=example,
            input=[openvino.PartialShape(list(example.shape))],
        )
    # Tiles are [side, side, 3]: no transposed copy is needed.
    steps = openvino.preprocess.PrePostProcessor(converted)
    steps.input(0).tensor().set_layout(openvino.Layout("NHWC"))
    steps.input(0).model().set_layout(openvino.Layout("NCHW"))
    return steps.build()


def _store(openvino: Any, converted: Any, folder: Path | None, name: str) -> Path:
    for parent in _cache_folders(folder):
        try:
            parent.mkdir(parents=True, exist_ok=True)
            _save_atomically(openvino, converted, parent / name)
        except (OSError, RuntimeError, UserError):
            continue
        return parent / name
    raise UserError(
        "runtime openvino: expected a writable folder for the converted network, could write neither to "
        f"{folder or 'a model folder'} nor to the user's cache nor to the folder for temporary files; free some disk space, or "
        "use --runtime torch"
    )


def _save_atomically(openvino: Any, converted: Any, path: Path) -> None:
    """Write two files, then their hashes, without which readers take them for damaged."""
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.partial.xml")
    openvino.save_model(converted, temporary, compress_to_fp16=False)
    temporary.with_suffix(".bin").replace(path.with_suffix(".bin"))
    temporary.replace(path)
    write_text(path.with_suffix(".sha256"), _hashes(path))


def _hashes(path: Path) -> str:
    return f"{file_sha256(path)} {file_sha256(path.with_suffix('.bin'))}\n"


def _is_intact(path: Path) -> bool:
    """Whether a conversion exists and matches its hashes: a changed byte would change scores unnoticed."""
    try:
        return path.with_suffix(".sha256").read_bytes() == _hashes(path).encode()
    except OSError:
        return False


def _cache_folders(folder: Path | None) -> tuple[Path, ...]:
    """Folders for conversions, by preference: the model folder, the user's cache, the folder for temporary files."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA", str(Path.home()))
    else:
        base = os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))
    temporary = Path(tempfile.gettempdir()) / "inkdot-openvino"
    own = () if folder is None else (folder / "openvino",)
    return *own, Path(base) / "inkdot" / "openvino", temporary
