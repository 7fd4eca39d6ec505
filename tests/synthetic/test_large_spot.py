"""A whole 20 mm spot at 0.25 µm/px is streamed: it never needs more than 1 GiB."""

import subprocess
import sys
from pathlib import Path

import openslide
import pytest

SCRIPT = """
import sys
from pathlib import Path
from inkdot.stages import synth
synth.run("normal", 1, 1, Path(sys.argv[1]), spot_mm=20.0, mpp=0.25, workers=1)
# Not getrusage: its maximum starts with what the process that started this one held.
status = Path("/proc/self/status").read_text()
print(int(status.split("VmHWM:")[1].split()[0]) * 1024)
"""


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_a_full_spot_stays_below_one_gibibyte(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert int(ended.stdout) < 2**30
    with openslide.OpenSlide(tmp_path / "slides" / "synthetic_normal_s1_0000.tif") as slide:
        assert min(slide.dimensions) > 80_000
        assert slide.level_downsamples[-1] == pytest.approx(64, rel=0.01)
