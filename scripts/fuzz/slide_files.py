"""Tiny slide files of every reader."""

import struct
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from inkdot.records import Mpp, RgbArray
from inkdot.slides.pyramid import write_array_pyramid

QUARTER = Mpp.square(0.25)
_APERIO = "Aperio Image Library v12.0.15 \r\n700x530 [0,0 700x530] (256x256) JPEG/RGB Q=95|AppMag = 40|MPP = 0.2500|Filename = a"
_SOP_CLASS = "1.2.840.10008.5.1.4.1.1.77.1.6"
_JPEG_SYNTAX = "1.2.840.10008.1.2.4.50"


def painted(width: int = 700, height: int = 530) -> RgbArray:
    """Pink noise with dark discs."""
    rng = np.random.default_rng(7)
    rgb = np.clip(rng.normal((225, 190, 215), 6, (height, width, 3)), 0, 255)
    y, x = np.mgrid[:height, :width]
    for _ in range(40):
        centre, radius = (rng.integers(0, width), rng.integers(0, height)), rng.integers(8, 16)
        rgb[(x - centre[0]) ** 2 + (y - centre[1]) ** 2 < radius**2] = (90, 60, 140)
    return rgb.astype(np.uint8)


def write_slide_files(folder: Path) -> dict[str, Path]:
    """Write one file per reader and dialect, each into a folder of its own.

    Returns:
        The file of each kind.
    """
    rgb = painted()
    files: dict[str, Path] = {}

    def place(kind: str, name: str) -> Path:
        files[kind] = folder / kind / name
        files[kind].parent.mkdir(parents=True)
        return files[kind]

    write_array_pyramid(place("tiff", "a.tif"), rgb, mpp=QUARTER)
    write_array_pyramid(place("svs", "a.svs"), rgb, mpp=QUARTER, description=_APERIO, subsampling="420")
    scale = {
        "PhysicalSizeX": 0.25,
        "PhysicalSizeXUnit": "µm",
        "PhysicalSizeY": 0.25,
        "PhysicalSizeYUnit": "µm",
    }
    tifffile.imwrite(
        place("ome", "a.ome.tif"),
        rgb,
        photometric="rgb",
        ome=True,
        tile=(128, 128),
        compression="zlib",
        metadata=scale,
    )
    planes = np.ascontiguousarray(np.moveaxis(rgb, -1, 0))
    tifffile.imwrite(
        place("ome-planes", "a.ome.tif"), planes, photometric="minisblack", ome=True, tile=(128, 128),
        metadata={"axes": "CYX", **scale},
    )  # fmt: skip
    tifffile.imwrite(
        place("bigtiff", "a.tif"), rgb, photometric="rgb", tile=(256, 256), bigtiff=True, resolution=(40000, 40000),
        resolutionunit="CENTIMETER", metadata=None,
    )  # fmt: skip
    tifffile.imwrite(
        place("flat-tiff", "a.tif"),
        rgb,
        photometric="rgb",
        compression="zlib",
        rowsperstrip=64,
        metadata=None,
    )
    image = Image.fromarray(rgb[:300, :400])
    image.save(place("jpeg", "a.jpg"), quality=92)
    image.save(place("jpeg-progressive", "a.jpg"), quality=92, progressive=True)
    image.save(place("png", "a.png"))
    image.quantize(64).save(place("png-palette", "a.png"))
    write_dicom(place("dicom", "a.dcm"), rgb[:512, :512])
    return files


def write_dicom(path: Path, rgb: RgbArray, tile_px: int = 256) -> None:
    """Write a VL whole slide microscopy image of one level, JPEG tiles in full tiling (DICOM PS3.3, A.32.8)."""
    height, width = rgb.shape[:2]
    frames: list[bytes] = []
    for top in range(0, height, tile_px):
        for left in range(0, width, tile_px):
            frames.append(_jpeg(rgb[top : top + tile_px, left : left + tile_px]))
    items = _item(b"") + b"".join(_item(frame + b"\0" * (len(frame) % 2)) for frame in frames)
    measures = _sequence(0x0028, 0x9110, _element(0x0028, 0x0030, "DS", "0.00025\\0.00025"))
    path_ = _sequence(0x0048, 0x0105, _element(0x0048, 0x0106, "SH", "1"))
    elements = [
        _element(0x0008, 0x0008, "CS", "ORIGINAL\\PRIMARY\\VOLUME\\NONE"),
        _element(0x0008, 0x0016, "UI", _SOP_CLASS),
        _element(0x0008, 0x0018, "UI", "1.2.3.4"),
        _element(0x0008, 0x0060, "CS", "SM"),
        _element(0x0020, 0x000D, "UI", "1.2.3.1"),
        _element(0x0020, 0x000E, "UI", "1.2.3.2"),
        _element(0x0020, 0x0052, "UI", "1.2.3.3"),
        _sequence(0x0020, 0x9221, _element(0x0020, 0x9164, "UI", "1.2.3.5")),
        _element(0x0020, 0x9311, "CS", "TILED_FULL"),
        _element(0x0028, 0x0002, "US", 3),
        _element(0x0028, 0x0004, "CS", "YBR_FULL_422"),
        _element(0x0028, 0x0006, "US", 0),
        _element(0x0028, 0x0008, "IS", str(len(frames))),
        _element(0x0028, 0x0010, "US", tile_px),
        _element(0x0028, 0x0011, "US", tile_px),
        _element(0x0028, 0x0100, "US", 8),
        _element(0x0028, 0x0101, "US", 8),
        _element(0x0028, 0x0102, "US", 7),
        _element(0x0028, 0x0103, "US", 0),
        _element(0x0048, 0x0006, "UL", width),
        _element(0x0048, 0x0007, "UL", height),
        _element(0x0048, 0x0303, "UL", 1),
        path_,
        _element(0x0048, 0x0302, "UL", 1),
        _sequence(0x5200, 0x9229, measures),
    ]
    data = b"".join(sorted(elements, key=lambda one: struct.unpack("<HH", one[:4])))
    pixels = (
        struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF)
        + items
        + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    )
    meta = (
        struct.pack("<HH2sHI", 0x0002, 0x0001, b"OB", 0, 2) + b"\0\1"
        + _element(0x0002, 0x0002, "UI", _SOP_CLASS)
        + _element(0x0002, 0x0003, "UI", "1.2.3.4")
        + _element(0x0002, 0x0010, "UI", _JPEG_SYNTAX)
        + _element(0x0002, 0x0012, "UI", "1.2.3.9")
    )  # fmt: skip
    path.write_bytes(b"\0" * 128 + b"DICM" + _element(0x0002, 0x0000, "UL", len(meta)) + meta + data + pixels)


def _jpeg(tile: RgbArray) -> bytes:
    import simplejpeg

    return simplejpeg.encode_jpeg(np.ascontiguousarray(tile), 90, colorsubsampling="422")


def _element(group: int, element: int, kind: str, value: str | int) -> bytes:
    """An element in explicit VR, little endian."""
    if isinstance(value, int):
        data = struct.pack("<H" if kind == "US" else "<I", value)
    else:
        data = value.encode() + (b"\0" if kind == "UI" else b" ") * (len(value) % 2)
    return struct.pack("<HH2sH", group, element, kind.encode(), len(data)) + data


def _sequence(group: int, element: int, content: bytes) -> bytes:
    items = _item(content)
    return struct.pack("<HH2sHI", group, element, b"SQ", 0, len(items)) + items


def _item(content: bytes) -> bytes:
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(content)) + content
