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
from inkdot.model.runtimes.network_cache import XML, conversion_facts, find_conversion, store_conversion
from inkdot.records import RgbArray
from inkdot.storage.models.model_files import Precision

if TYPE_CHECKING:  # imports timm and torch, which a stored conversion does not need
    from inkdot.model.network import TileNetwork

_LEAST_REQUESTS = 2
"""Least batches in flight: one is computed while the next is read."""

_CONVERSION_VERSION = 2
"""Of stored conversions: 2 gives logits and features, 1 gave logits."""
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

    The conversion takes seconds and is kept in the user's own cache; see :mod:`inkdot.model.runtimes.network_cache`.

    Attributes:
        feature_count: Width of the embedding.
        threads: Number of threads.
    """

    def __init__(
        self,
        load: Callable[[], "TileNetwork"],
        side_px: int,
        network_sha256: str | None,
        batch_size: int,
        precision: Precision = "float32",
    ) -> None:
        """Compile a network.

        Args:
            load: Loads the PyTorch network; called only when no conversion is stored.
            side_px: Side of the tiles.
            network_sha256: Hash of all that shapes the network: weights, architecture, heads, normalisation. None for one that is
                still to change, whose conversion is not kept.
            batch_size: Tiles per batch, fixed for the compiled network.
            precision: Of the computation; the conversion is the same.

        Raises:
            UserError: OpenVINO is not installed.
        """
        openvino = import_openvino()
        self._batch_size = batch_size
        core = openvino_core()
        settings = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": _HINTS[precision]}
        settings |= thread_limit()
        network = _converted(openvino, load, side_px, network_sha256, batch_size)
        self._compiled: Any = _compile(core, openvino, network, settings)
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


def _converted(
    openvino: Any,
    load: Callable[[], "TileNetwork"],
    side_px: int,
    network_sha256: str | None,
    batch_size: int,
) -> Any:
    """Path of the stored conversion, or the conversion itself where it cannot be kept."""
    if network_sha256 is None:
        return _convert(openvino, load(), side_px, batch_size)
    facts = conversion_facts(
        network_sha256, conversion=_CONVERSION_VERSION, side_px=side_px, batch_size=batch_size
    )
    if (stored := find_conversion(facts)) is not None:
        return stored
    network = _convert(openvino, load(), side_px, batch_size)
    return store_conversion(facts, lambda path: _save(openvino, network, path)) or network


def _save(openvino: Any, converted: Any, path: Path) -> None:
    openvino.save_model(converted, path, compress_to_fp16=False)


def _compile(core: Any, openvino: Any, network: Any, settings: dict[str, str]) -> Any:
    """Compile a stored conversion, or one in memory."""
    if not isinstance(network, Path):
        # Through a file too: the network in memory rounds differently. The folder is the user's own, mode 0700.
        try:
            with tempfile.TemporaryDirectory(prefix="inkdot-network-", ignore_cleanup_errors=True) as folder:
                path = Path(folder) / XML
                _save(openvino, network, path)
                return core.compile_model(core.read_model(path), "CPU", settings)
        except (OSError, RuntimeError):  # nothing can be written anywhere
            return core.compile_model(network, "CPU", settings)
    return core.compile_model(core.read_model(network), "CPU", settings)
