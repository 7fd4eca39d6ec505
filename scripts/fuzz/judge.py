"""Reads one mutated file in a process of its own, with limits, and judges how that ended."""

import json
import os
import random
import resource
import select
import shutil
import signal
import tempfile
import time
import traceback
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kinds import Kind, Pixels, changed_fraction, file_of

CPU_SECONDS: Final = 20
WALL_SECONDS: Final = 240
"""Long, since the machine may be busy: time of the processor is what is judged."""
MEMORY_BYTES: Final = 2 << 30
"""What a reader may take: an image of the most pixels that are read, with a copy (``plain_image.LARGEST_PX``)."""
LONGEST_MESSAGE: Final = 2000


@dataclass(frozen=True)
class Outcome:
    """How a case ended.

    Attributes:
        word: read, refused, silent (other pixels without a word), or what makes a finding: error, message, signal, hang,
            memory, pixels.
        detail: The message, the end of the traceback, or how much differs.
    """

    word: str
    detail: str

    @property
    def is_finding(self) -> bool:
        """Whether somebody has to mend something."""
        return self.word not in ("read", "refused", "silent")


def prepare(kind: Kind, corpus: Path, folder: Path, rng: random.Random) -> Path:
    """Copy the folder of a kind by links, and change its file.

    Returns:
        The changed file.
    """
    source = file_of(kind, corpus)
    parts = source.relative_to(corpus).parts
    shutil.copytree(corpus / parts[0], folder, copy_function=os.link, dirs_exist_ok=True)
    path = folder.joinpath(*parts[1:])
    path.unlink()
    shutil.copy(source, path)
    kind.mutate(path, rng)
    if kind.finish is not None and rng.random() < 0.5:
        kind.finish(folder)
    return path


def run_case(kind: Kind, corpus: Path, seed: str, sound: object, keep: Path | None = None) -> Outcome:
    """One case.

    Args:
        kind: The kind.
        corpus: The corpus.
        seed: Decides everything that is random.
        sound: What is read of the file as it is.
        keep: Where a finding's file is copied to; None: nowhere.
    """
    with tempfile.TemporaryDirectory(prefix="inkdot-fuzz-") as name:
        folder = Path(name) / "case"
        path = prepare(kind, corpus, folder, random.Random(seed))
        outcome = _in_child(kind, folder, path, sound)
        if keep is not None and outcome.is_finding:
            keep.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, keep / f"{seed.replace(':', '-')}-{path.name}")
        return outcome


def _in_child(kind: Kind, folder: Path, path: Path, sound: object) -> Outcome:
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read_end)
        _child(kind, folder, path, sound, write_end)
    os.close(write_end)
    sent, ended = _wait(read_end)
    os.close(read_end)
    if not ended:
        os.kill(child, signal.SIGKILL)
    _, status, usage = os.wait4(child, 0)
    if not ended:
        return Outcome("hang", f"nothing after {WALL_SECONDS} s")
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number == signal.SIGXCPU:
            return Outcome("hang", f"more than {CPU_SECONDS} s of processor time")
        return Outcome("signal", signal.Signals(number).name)
    if not sent:
        return Outcome(
            "signal", f"ended with status {os.WEXITSTATUS(status)} and no word, {usage.ru_maxrss >> 10} MiB"
        )
    answer = json.loads(sent)
    return Outcome(answer["word"], answer["detail"])


def _wait(read_end: int) -> tuple[bytes, bool]:
    sent, until = b"", time.monotonic() + WALL_SECONDS
    while (left := until - time.monotonic()) > 0:
        if not select.select([read_end], [], [], left)[0]:
            break
        part = os.read(read_end, 1 << 16)
        if not part:
            return sent, True
        sent += part
    return sent, False


def _child(kind: Kind, folder: Path, path: Path, sound: object, write_end: int) -> None:
    """Read with limits, send the outcome, and end without the parent's clean-up."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # what C libraries print
        before, resident = _status("VmSize"), _status("VmRSS")
        resource.setrlimit(resource.RLIMIT_AS, (before + 2 * MEMORY_BYTES, before + 2 * MEMORY_BYTES))
        used = int(time.process_time())
        resource.setrlimit(resource.RLIMIT_CPU, (used + CPU_SECONDS, used + CPU_SECONDS + 5))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        warnings.simplefilter("error", RuntimeWarning)
        outcome = _judged(kind, folder, path, sound)
        taken = _status("VmHWM") - resident
        if taken > MEMORY_BYTES and not outcome.is_finding:
            outcome = Outcome("memory", f"{taken >> 20} MiB ({outcome.word}: {outcome.detail[:200]})")
        os.write(write_end, json.dumps({"word": outcome.word, "detail": outcome.detail}).encode())
    finally:
        os._exit(0)


def _judged(kind: Kind, folder: Path, path: Path, sound: object) -> Outcome:
    try:
        value = kind.read(folder, path)
    except kind.allowed as error:
        text = str(error)
        if len(text) > LONGEST_MESSAGE or len(text.splitlines()) != 1:
            return Outcome(
                "message", f"{len(text)} characters, {len(text.splitlines())} lines: {text[:300]!r}"
            )
        return Outcome("refused", text[:LONGEST_MESSAGE])
    except Exception as error:  # noqa: BLE001 - whatever gets here is what is looked for
        where = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in where if "inkdot" in frame.filename] or list(where)
        lines = " < ".join(
            f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in reversed(own[-4:])
        )
        return Outcome("error", f"{type(error).__name__}: {str(error)[:200]!r} at {lines}")
    if not (isinstance(value, Pixels) and isinstance(sound, Pixels)):
        return Outcome("read", "")
    fraction = changed_fraction(value.level0, sound.level0)
    if not fraction or set(value.warnings) - set(sound.warnings):
        return Outcome("read", "")
    detail = f"{fraction:.1%} of pixels differ, no warning"
    return Outcome("pixels" if kind.checksum else "silent", detail)


def _status(name: str) -> int:
    """A figure of this process in bytes; VmHWM is the most memory that it held."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) << 10
    raise OSError(f"/proc/self/status has no {name}")
