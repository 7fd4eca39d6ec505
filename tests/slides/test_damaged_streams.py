"""Whatever libjpeg warns of is damage, in every reader; Pillow alone drops its warnings."""

import contextlib
import io
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
import tifffile
from PIL import Image

from inkdot.errors import UnreadableSlideError
from inkdot.geometry import plan_rectangle
from inkdot.records import Mpp, RgbArray, SlideEntry
from inkdot.slides import open_slide
from inkdot.slides.pyramid import write_array_pyramid
from inkdot.slides.structure.jpeg_stream import decode_strictly

QUARTER = Mpp.square(0.25)


def noise(side: int = 384) -> RgbArray:
    rng = np.random.default_rng(1)
    return np.clip(rng.normal(200, 20, (side, side, 3)), 0, 255).astype(np.uint8)


def saved(kind: str, mode: str = "RGB", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(noise()).convert(mode).save(buffer, kind, **options)  # pyright: ignore[reportArgumentType]
    return buffer.getvalue()


def desynchronised(data: bytes, at: float = 0.5) -> bytes:
    """A stretch of the compressed data overwritten: its decoder goes on at the wrong place, to the end."""
    start, rng = int(len(data) * at), np.random.default_rng(3)
    return data[:start] + rng.integers(0, 255, 400, np.uint8).tobytes() + data[start + 400 :]


def whole(path: Path) -> RgbArray:
    with closing(open_slide(SlideEntry("s", path, mpp=QUARTER))) as slide:
        return slide.read(plan_rectangle(slide.info, 0, 0, 0, *slide.info.size_l0_px))


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_is_refused_where_libjpeg_warns(tmp_path: Path, mode: str, progressive: bool) -> None:
    intact = saved("JPEG", mode, quality=90, progressive=progressive)
    path = tmp_path / "a.jpg"
    path.write_bytes(intact)
    expected = np.asarray(Image.open(io.BytesIO(intact)).convert("RGB"))
    assert np.array_equal(whole(path), expected)
    path.write_bytes(desynchronised(intact))
    Image.open(path).load()  # Pillow says nothing
    with pytest.raises(UnreadableSlideError, match=r"a\.jpg: expected a complete image, found a damaged one"):
        whole(path)


@pytest.mark.parametrize("compression", ["jpeg", "tiff_deflate"])
def test_a_flat_tiff_is_refused_where_its_strips_are_damaged(tmp_path: Path, compression: str) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(saved("TIFF", compression=compression))
    expected = np.asarray(Image.open(path).convert("RGB"))
    assert np.array_equal(whole(path), expected)
    path.write_bytes(desynchronised(path.read_bytes()))
    with pytest.raises(UnreadableSlideError, match="found a damaged one"):
        whole(path)


def test_strips_without_an_offset_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, noise(), photometric="rgb", rowsperstrip=64, metadata=None)
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tiff:
        at = tiff.pages[0].tags[273].valueoffset
    data[at + 4 : at + 12] = bytes(8)
    path.write_bytes(data)
    with pytest.raises(UnreadableSlideError, match="2 of 6 strips without bytes"):
        whole(path)


@pytest.mark.parametrize("fill", [b"\x00", b"\xff"])
def test_padding_before_a_marker_is_harmless(fill: bytes) -> None:
    intact = saved("JPEG", quality=90)
    padded = intact[:-2] + fill * 5 + intact[-2:]
    assert np.array_equal(decode_strictly(padded), decode_strictly(intact))


def test_what_a_lost_decoder_leaves_over_is_no_padding() -> None:
    intact = saved("JPEG", quality=90)
    left_over = intact[:-2] + b"\x35\x71\x0c" + intact[-2:]
    with pytest.raises(ValueError, match="extraneous bytes"):
        simplejpeg.decode_jpeg(left_over, strict=True)
    with pytest.raises(ValueError, match="extraneous bytes"):
        decode_strictly(left_over)


def test_a_native_tile_with_bytes_left_over_is_damaged(tmp_path: Path) -> None:
    """The warning that most damage in the middle of a tile gives."""
    path = tmp_path / "a.tif"
    write_array_pyramid(path, noise(512), mpp=QUARTER, downsamples=(1,))
    with tifffile.TiffFile(path) as tiff:
        offset, length = tiff.pages[0].dataoffsets[3], tiff.pages[0].databytecounts[3]
    intact = path.read_bytes()
    rng = np.random.default_rng(4)
    left_over = 0
    for _ in range(30):
        tile = bytearray(intact[offset : offset + length])
        tile[int(rng.integers(length // 2, length - 50))] ^= int(rng.integers(1, 255))
        try:
            simplejpeg.decode_jpeg(bytes(tile), strict=True)
        except ValueError as error:
            if "extraneous bytes" not in str(error):
                continue
        else:
            continue
        left_over += 1
        path.write_bytes(intact[:offset] + bytes(tile) + intact[offset + length :])
        with pytest.raises(UnreadableSlideError, match=r"damaged tile at column 1, row 1 of level 0"):
            whole(path)
    assert left_over >= 5


def test_a_png_is_refused_where_a_checksum_of_its_pixels_is_wrong(tmp_path: Path) -> None:
    """Pillow stops after the last row, before zlib's own checksum, and compares that of no chunk of pixels."""
    path, intact = tmp_path / "a.png", saved("PNG")
    path.write_bytes(intact)
    assert np.array_equal(whole(path), noise())
    silent = 0
    for before_the_end in (450, 625, 300, 200):
        damaged = bytearray(intact)
        damaged[-before_the_end] ^= 16
        path.write_bytes(damaged)
        with contextlib.suppress(OSError):
            silent += not np.array_equal(np.asarray(Image.open(path)), noise())
        with pytest.raises(
            UnreadableSlideError, match=r"a\.png: expected a complete image, found a damaged one \("
        ):
            whole(path)
    assert silent >= 1


def test_a_png_without_its_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(saved("PNG")[:-12])
    with pytest.raises(UnreadableSlideError, match="it ends too early"):
        whole(path)


def test_a_damaged_text_of_a_png_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    intact = saved("PNG")
    text = b"tEXtComment\0x"
    chunk = len(text[4:]).to_bytes(4, "big") + text + b"\0\0\0\0"
    path.write_bytes(intact[:-12] + chunk + intact[-12:])
    assert np.array_equal(whole(path), noise())
