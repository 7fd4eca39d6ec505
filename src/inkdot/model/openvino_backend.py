"""The network in OpenVINO: on a CPU several times as fast as PyTorch."""

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
from inkdot.model.batches import Inferred, LogitArray, batches_of
from inkdot.records import RgbArray
from inkdot.storage.atomic import write_text
from inkdot.storage.hashing import file_sha256
from inkdot.storage.model_files import Precision

if TYPE_CHECKING:  # at run time it would load timm and torch, which a kept conversion does without
    from inkdot.model.network import TileNetwork

_LEAST_JOBS = 2
"""Batches in flight: one is computed while the next is read, more where the CPU works on several at once."""

_FORM = 2
"""Of kept conversions, part of their names: 2 gives logits and features, 1 gave logits."""
_HINTS: dict[Precision, str] = {"float32": "f32", "bfloat16": "bf16"}


def openvino_installed() -> bool:
    """Whether the runtime can be used here, found out without loading it."""
    return importlib.util.find_spec("openvino") is not None


@cache
def cpu_has_bfloat16() -> bool:
    """Whether OpenVINO is installed and this CPU computes in bfloat16 itself."""
    return openvino_installed() and "BF16" in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


@cache
def _core() -> Any:
    """OpenVINO's CPU plugin, one for the whole process.

    It gives the thread a stack for signals and takes it away when it goes. Of two that come and go in turns, the second
    puts back the stack that the first has freed, and the next signal (a child that ends, say) kills the process.
    """
    return import_openvino().Core()


class OpenVinoNetwork:
    """A network compiled for this CPU.

    The conversion takes seconds, so its result is kept beside the model, or in the user's cache folder
    where the model's may not be written.

    Attributes:
        feature_count: Numbers in the embedding of a tile.
        threads: Threads it computes with.
    """

    def __init__(
        self,
        load: Callable[[], "TileNetwork"],
        side_px: int,
        folder: Path,
        weights_sha256: str,
        batch_size: int,
        precision: Precision = "float32",
    ) -> None:
        """Compile a network.

        Args:
            load: Gives the PyTorch network; called only when no conversion is kept.
            side_px: Side of the tiles.
            folder: The model folder.
            weights_sha256: Hash of the weights, part of the kept file's name.
            batch_size: Tiles per batch, fixed for the compiled network.
            precision: What is computed in; the conversion is the same.

        Raises:
            UserError: OpenVINO is not installed, or there is nowhere to keep the conversion.
        """
        openvino = import_openvino()
        self._batch_size = batch_size
        core = _core()
        name = f"{weights_sha256[:16]}-{batch_size}-{openvino.__version__.split('-')[0]}-form{_FORM}.xml"
        kept = next((path for place in _places(folder) if _is_whole(path := place / name)), None)
        if kept is None:
            kept = _keep(openvino, _convert(openvino, load(), side_px, batch_size), folder, name)
        # Always from the kept file, also right after the conversion: the network in memory rounds differently.
        converted = core.read_model(kept)
        settings = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": _HINTS[precision]}
        settings |= _allowed_threads()
        self._compiled: Any = core.compile_model(converted, "CPU", settings)
        jobs = max(_LEAST_JOBS, int(self._compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")))
        self._requests = [self._compiled.create_infer_request() for _ in range(jobs)]
        self.threads = int(self._compiled.get_property("INFERENCE_NUM_THREADS"))
        self._columns, self.feature_count = (int(output.shape[1]) for output in self._compiled.outputs)

    def logits(self, tiles: Iterable[RgbArray]) -> LogitArray:
        """Logits of all heads, float32 [n, classes of all heads], in the order of the tiles; see :meth:`seen`."""
        parts = [seen.logits for seen in self.seen(tiles)]
        return np.concatenate([np.zeros((0, self._columns), np.float32), *parts])

    def seen(self, tiles: Iterable[RgbArray]) -> Iterator[Inferred]:
        """Logits and features batch by batch, in the order of the tiles.

        Args:
            tiles: uint8 RGB, shape [side, side, 3] each; read while earlier batches are computed.
        """
        # Requests taken in turn and waited for here. OpenVINO's own queue calls back from its threads, which can wait
        # for the interpreter while the interpreter waits for them.
        idle, busy = deque(self._requests), deque[tuple[Any, int]]()
        try:
            for batch in batches_of(tiles, self._batch_size):
                if not idle:
                    yield _finished(*busy[0])
                    idle.append(busy.popleft()[0])
                request = idle.popleft()
                # Filled up with copies: the compiled network takes one size only.
                filled = np.stack(batch + [batch[-1]] * (self._batch_size - len(batch)))
                request.start_async({0: filled})
                busy.append((request, len(batch)))
            for request, count in busy:
                yield _finished(request, count)
        finally:
            for request, _ in busy:
                request.wait()


def _allowed_threads() -> dict[str, str]:
    """What users and Ray limit libraries by, which OpenVINO does not look at: on a shared machine it would take every core."""
    allowed = os.environ.get("OMP_NUM_THREADS", "")
    return {"INFERENCE_NUM_THREADS": allowed} if allowed.isdecimal() and int(allowed) > 0 else {}


def _finished(request: Any, count: int) -> Inferred:
    """The first rows of what a request computed, waited for."""
    request.wait()
    return Inferred(
        *(np.array(request.get_output_tensor(output).data[:count], np.float32) for output in range(2))
    )


def import_openvino() -> Any:
    """The package, kept from reporting its use to anyone.

    Raises:
        UserError: It is not installed.
    """
    # None makes `import openvino_telemetry` fail, and OpenVINO then uses its own stub: nothing is sent anywhere.
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
        # OpenVINO traces through torch.jit, which torch announces to replace: nothing the user could act on.
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        converted = openvino.convert_model(
            FeatureNetwork(network.cpu()).eval(),
            example_input=example,
            input=[openvino.PartialShape(list(example.shape))],
        )
    # Tiles come as [side, side, 3]; the network then reads them without a copy in another order.
    steps = openvino.preprocess.PrePostProcessor(converted)
    steps.input(0).tensor().set_layout(openvino.Layout("NHWC"))
    steps.input(0).model().set_layout(openvino.Layout("NCHW"))
    return steps.build()


def _keep(openvino: Any, converted: Any, folder: Path, name: str) -> Path:
    for place in _places(folder):
        try:
            place.mkdir(parents=True, exist_ok=True)
            _save_atomically(openvino, converted, place / name)
        except (OSError, RuntimeError, UserError):
            continue
        return place / name
    raise UserError(
        f"runtime openvino: expected a folder to keep the converted network in, could write neither to {folder} nor to "
        "the user's cache nor to the folder for temporary files; free some disk, or use --runtime torch"
    )


def _save_atomically(openvino: Any, converted: Any, path: Path) -> None:
    """Two files, then their hashes: without these a reader takes them for damaged."""
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.partial.xml")
    openvino.save_model(converted, temporary, compress_to_fp16=False)
    temporary.with_suffix(".bin").replace(path.with_suffix(".bin"))
    temporary.replace(path)
    write_text(path.with_suffix(".sha256"), _hashes(path))


def _hashes(path: Path) -> str:
    return f"{file_sha256(path)} {file_sha256(path.with_suffix('.bin'))}\n"


def _is_whole(path: Path) -> bool:
    """Whether a conversion lies there as it was written: a byte of it that changed would change scores, unnoticed."""
    try:
        return path.with_suffix(".sha256").read_bytes() == _hashes(path).encode()
    except OSError:
        return False


def _places(folder: Path) -> tuple[Path, Path, Path]:
    """Where conversions are kept: beside the weights, else in the user's cache folder, else among temporary files."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA", str(Path.home()))
    else:
        base = os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))
    temporary = Path(tempfile.gettempdir()) / "inkdot-openvino"
    return folder / "openvino", Path(base) / "inkdot" / "openvino", temporary
