"""Slides that open, and the words for those that do not."""

import io
import json
import struct
import zlib
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from inkdot.errors import ImplausibleMppError, MissingMppError, SlideError, UnreadableSlideError
from inkdot.geometry import plan_rectangle
from inkdot.records import Mpp, RgbArray, Slide, SlideEntry, SlideInfo
from inkdot.slides import open_slide
from inkdot.slides.pyramid import write_array_pyramid
from inkdot.units import MicrometresPerPixel


def scene(width: int = 700, height: int = 500) -> RgbArray:
    """Bright glass with a red square at (100, 60), 50 px a side."""
    rgb = np.full((height, width, 3), 240, np.uint8)
    rgb[60:110, 100:150] = (200, 30, 40)
    return rgb


QUARTER = Mpp.square(0.25)


def pyramid(path: Path, mpp: Mpp | None = QUARTER, description: str = "") -> Path:
    write_array_pyramid(path, scene(), mpp=mpp, description=description, downsamples=(1, 4))
    return path


def info_of(path: Path, mpp: Mpp | None = None) -> SlideInfo:
    with closing(open_slide(SlideEntry("s", path, mpp=mpp))) as slide:
        assert isinstance(slide, Slide)
        return slide.info


# ---- mpp


def test_mpp_from_the_file(tmp_path: Path) -> None:
    info = info_of(pyramid(tmp_path / "a.tif"))
    assert info.mpp.x == pytest.approx(0.25, rel=1e-6)
    assert info.mpp_source == "metadata"


def test_mpp_of_the_manifest_is_believed_whatever_the_file_says(tmp_path: Path) -> None:
    odd = Mpp(MicrometresPerPixel(16.8), MicrometresPerPixel(0.01))
    info = info_of(pyramid(tmp_path / "a.tif"), odd)
    assert (info.mpp, info.mpp_source) == (odd, "manifest")


def test_no_mpp_names_column_and_option(tmp_path: Path) -> None:
    path = pyramid(tmp_path / "a.tif", None)
    with pytest.raises(MissingMppError, match=r"a\.tif: .* found none; .* column `mpp`, or with --mpp"):
        open_slide(SlideEntry("s", path))
    assert info_of(path, Mpp.square(0.25)).mpp_source == "manifest"


def ome(x: str, y: str) -> str:
    return (
        '<?xml version="1.0" encoding="UTF-8"?><OME Creator="somebody">'
        f'<Image ID="Image:0"><Pixels DimensionOrder="XYCZT" {x} ID="Pixels:0" {y} Type="uint8"/></Image></OME>'
    )


@pytest.mark.parametrize("tile", [None, (128, 128)])
@pytest.mark.parametrize(
    ("x", "y", "mpp"),
    [
        ('PhysicalSizeX="0.25"', 'PhysicalSizeY="0.26"', (0.25, 0.26)),
        ('PhysicalSizeX="250" PhysicalSizeXUnit="nm"', 'PhysicalSizeY="0.00026" PhysicalSizeYUnit="mm"', (0.25, 0.26)),
        ('PhysicalSizeX="0.25" PhysicalSizeXUnit="µm"', 'PhysicalSizeY="0.25" PhysicalSizeYUnit="&#181;m"', (0.25, 0.25)),
    ],
)  # fmt: skip
def test_mpp_from_ome_xml_in_flat_and_tiled_tiffs(
    tmp_path: Path, tile: tuple[int, int] | None, x: str, y: str, mpp: tuple[float, float]
) -> None:
    path = tmp_path / "a.ome.tif"
    description = ome(x, y).encode()
    # 72 dots per inch besides, as many programs write whatever the scale is.
    with tifffile.TiffWriter(path) as file:
        file.write(
            scene(), photometric="rgb", tile=tile, description=description, metadata=None, resolution=(72, 72), resolutionunit=2
        )  # fmt: skip
    info = info_of(path)
    assert (info.mpp.x, info.mpp.y) == pytest.approx(mpp)
    assert info.mpp_source == "metadata"


@pytest.mark.parametrize(
    ("x", "y"),
    [
        ("", ""),
        ('PhysicalSizeX="0.25"', ""),
        ('PhysicalSizeX="0" PhysicalSizeXUnit="µm"', 'PhysicalSizeY="0.25"'),
        ('PhysicalSizeX="1" PhysicalSizeXUnit="pixel"', 'PhysicalSizeY="1" PhysicalSizeYUnit="pixel"'),
        ('PhysicalSizeX="fine"', 'PhysicalSizeY="0.25"'),
    ],
)
def test_ome_xml_that_states_no_length_is_no_mpp(tmp_path: Path, x: str, y: str) -> None:
    tifffile.imwrite(
        tmp_path / "a.tif", scene(), photometric="rgb", description=ome(x, y).encode(), metadata=None
    )
    with pytest.raises(MissingMppError):
        open_slide(SlideEntry("s", tmp_path / "a.tif"))


def test_implausible_mpp_of_ome_xml_is_refused(tmp_path: Path) -> None:
    description = ome('PhysicalSizeX="25"', 'PhysicalSizeY="25"').encode()
    tifffile.imwrite(tmp_path / "a.tif", scene(), photometric="rgb", description=description, metadata=None)
    with pytest.raises(ImplausibleMppError, match="found 25 x 25"):
        open_slide(SlideEntry("s", tmp_path / "a.tif"))


@pytest.mark.parametrize("value", [0.0799, 2.01, 16.8, 254.0])
def test_implausible_mpp_is_refused(tmp_path: Path, value: float) -> None:
    with pytest.raises(ImplausibleMppError, match=r"expected 0\.08 to 2 µm/px .* column `mpp`"):
        open_slide(SlideEntry("s", pyramid(tmp_path / "a.tif", Mpp.square(value))))


@pytest.mark.parametrize("value", [0.0801, 0.25, 1.99])
def test_plausible_mpp_is_taken(tmp_path: Path, value: float) -> None:
    assert info_of(pyramid(tmp_path / "a.tif", Mpp.square(value))).mpp.x == pytest.approx(value, rel=1e-4)


def test_anisotropy_above_a_twentieth_is_refused(tmp_path: Path) -> None:
    def slide(y: float) -> SlideEntry:
        mpp = Mpp(MicrometresPerPixel(0.25), MicrometresPerPixel(y))
        return SlideEntry("s", pyramid(tmp_path / f"{y}.tif", mpp))

    with pytest.raises(ImplausibleMppError, match=r"within 5% of each other, found 0\.25 x 0\.264"):
        open_slide(slide(0.264))
    with closing(open_slide(slide(0.263))) as opened:
        assert opened.info.mpp.y == pytest.approx(0.263, rel=1e-4)


# ---- synthetic


@pytest.mark.parametrize(
    ("name", "description", "synthetic"),
    [
        ("a.tif", json.dumps({"synthetic": True, "seed": 3}), True),
        ("a.tif", json.dumps({"synthetic": False}), False),
        ("a.tif", json.dumps({"synthetic": "true"}), False),
        ("a.tif", "synthetic", False),
        ("a.tif", '{"synthetic": true', False),
        ("a.tif", json.dumps([{"synthetic": True}]), False),
        ("a.tif", "{" * 5000, False),
        ("synthetic_csf_1.tif", "", True),
        ("not_synthetic_1.tif", "", False),
    ],
)
def test_a_slide_says_itself_that_it_was_made(
    tmp_path: Path, name: str, description: str, synthetic: bool
) -> None:
    assert info_of(pyramid(tmp_path / name, description=description)).synthetic is synthetic


# ---- what does not open


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"found an empty one \(0 bytes\); copy it again"),
        (b"not a slide", r"found a damaged file or a kind that no reader opens"),
        (b"II*\x00" + b"\0" * 100, r"found a damaged"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 50, r"found a damaged"),
        (b"\xff\xd8\xff\xe0" + b"\0" * 50, r"found a damaged"),
        (
            b"PK\x03\x04" + b"\0" * 100,
            r"expected a slide or an image \(PNG, JPEG, TIFF\), found a ZIP archive",
        ),
        (b"GIF89a" + b"\0" * 100, r"found a GIF"),
        (b"RIFF\0\0\0\0WEBPVP8 " + b"\0" * 100, r"found a WebP image"),
        (b"\0\0\0\x0cjP  \r\n\x87\n" + b"\0" * 100, r"found a JPEG 2000 image"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + b"\0" * 100, r"found a JPEG XL image"),
    ],
)
@pytest.mark.parametrize("name", ["a.svs", "a.tif", "a.mrxs", "a.png", "a"])
def test_other_contents_under_a_slides_name_are_one_line(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UnreadableSlideError, match=message) as caught:
        open_slide(SlideEntry("s", path, mpp=Mpp.square(0.25)))
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_missing_files_and_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableSlideError, match=r"found nothing there; correct the path"):
        open_slide(SlideEntry("s", tmp_path / "gone.svs"))
    with pytest.raises(UnreadableSlideError, match="found a folder"):
        open_slide(SlideEntry("s", tmp_path))


def read_all(path: Path) -> RgbArray:
    with closing(open_slide(SlideEntry("s", path, mpp=QUARTER))) as slide:
        return slide.read(plan_rectangle(slide.info, 0, 0, 0, *slide.info.size_l0_px))


def test_a_truncated_slide_is_unreadable_wherever_the_cut_is(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    path = tmp_path / "whole.tif"
    noise = rng.integers(0, 255, (1200, 1200, 3), dtype=np.uint8)
    write_array_pyramid(path, noise, mpp=Mpp.square(0.25), downsamples=(1, 4))
    whole = path.read_bytes()
    cut = tmp_path / "cut.tif"
    for fraction in (0.001, 0.3, 0.9, 0.999):
        cut.write_bytes(whole[: int(len(whole) * fraction)])
        with pytest.raises(SlideError) as caught:  # while it opens or while it reads
            read_all(cut)
        assert str(caught.value).startswith(str(cut))
        assert "\n" not in str(caught.value)


def test_a_damaged_tile_is_a_named_error(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    path = tmp_path / "a.tif"
    noise = rng.integers(0, 255, (1200, 1200, 3), dtype=np.uint8)
    write_array_pyramid(path, noise, mpp=Mpp.square(0.25), downsamples=(1, 4))
    with tifffile.TiffFile(path) as tiff:
        offset, length = tiff.pages[0].dataoffsets[6], tiff.pages[0].databytecounts[6]
    data = bytearray(path.read_bytes())
    data[offset : offset + length] = b"\0" * length
    path.write_bytes(bytes(data))
    with closing(open_slide(SlideEntry("s", path))) as slide:
        with pytest.raises(UnreadableSlideError, match=r"a\.tif: expected readable pixels") as caught:
            slide.read(plan_rectangle(slide.info, 0, 0, 0, 1200, 1200))
        assert "\n" not in str(caught.value)


def test_names_with_spaces_and_foreign_letters_open(tmp_path: Path) -> None:
    for name in ("my slide.tif", "Präparat №1.tif", "スライド.tif", "a;b'c#d%e.tif"):
        assert info_of(pyramid(tmp_path / name)).size_l0_px == (700, 500)


# ---- plain images


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.png", "PNG"), ("a.jpg", "JPEG"), ("a.tif", "TIFF"), ("wrong.svs", "PNG"), ("no extension", "JPEG")],
)
def test_plain_images_open_at_a_stated_mpp(tmp_path: Path, name: str, kind: str) -> None:
    path = tmp_path / name
    Image.fromarray(scene()).save(path, kind)
    with pytest.raises(MissingMppError, match="column `mpp`"):
        open_slide(SlideEntry("s", path))
    with closing(open_slide(SlideEntry("s", path, mpp=Mpp.square(0.2)))) as slide:
        assert slide.info.size_l0_px == (700, 500)
        assert slide.info.vendor == f"plain {kind.lower()}"
        assert slide.info.level_downsamples == pytest.approx((1, 4, 16), rel=0.02)
        assert slide.info.warnings == ()
        pixels = slide.read(plan_rectangle(slide.info, 0, 110, 70, 30, 30)).astype(int)
        assert np.abs(pixels - (200, 30, 40)).max() <= 10
        assert (slide.read(plan_rectangle(slide.info, 0, 690, 490, 20, 20))[11:, 11:] == 255).all()


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_deflate", "jpeg"])
def test_flat_tiffs_of_any_usual_compression(tmp_path: Path, compression: str | None) -> None:
    path = tmp_path / "flat.tif"
    Image.fromarray(scene()).save(path, compression=compression, resolution_unit=3, resolution=40_000.0)
    info = info_of(path)  # 40,000 px per cm
    assert (info.mpp.x, info.mpp_source, info.vendor) == (pytest.approx(0.25), "metadata", "plain tiff")


def test_a_flat_bigtiff_opens(tmp_path: Path) -> None:
    path = tmp_path / "flat.btf"
    tifffile.imwrite(path, scene(), bigtiff=True, photometric="rgb", metadata=None)
    assert path.read_bytes()[2] == 43
    with closing(open_slide(SlideEntry("s", path, mpp=Mpp.square(0.25)))) as slide:
        assert (slide.read(plan_rectangle(slide.info, 0, 0, 0, 700, 500)) == scene()).all()


def test_a_screens_resolution_is_no_mpp(tmp_path: Path) -> None:
    for name in ("a.tif", "a.png", "a.jpg"):
        Image.fromarray(scene()).save(tmp_path / name, dpi=(72, 72))
        with pytest.raises(MissingMppError):
            open_slide(SlideEntry("s", tmp_path / name))


def test_other_kinds_of_pixels_become_rgb(tmp_path: Path) -> None:
    image = Image.fromarray(scene())
    for mode in ("L", "P", "RGBA", "CMYK", "LA"):
        path = tmp_path / f"{mode}.tif"
        if mode in ("LA", "P"):
            path = path.with_suffix(".png")
        image.convert(mode).save(path)
        with closing(open_slide(SlideEntry("s", path, mpp=Mpp.square(0.25)))) as slide:
            pixels = slide.read(plan_rectangle(slide.info, 0, 0, 0, 700, 500))
            assert pixels.shape == (500, 700, 3)
            assert pixels[:40].min() > 200


def test_transparent_is_glass(tmp_path: Path) -> None:
    rgba = np.dstack([scene(), np.full((500, 700), 255, np.uint8)])
    rgba[:, :50] = 0
    Image.fromarray(rgba).save(tmp_path / "a.png")
    with closing(open_slide(SlideEntry("s", tmp_path / "a.png", mpp=Mpp.square(0.25)))) as slide:
        pixels = slide.read(plan_rectangle(slide.info, 0, 0, 0, 700, 500))
    assert (pixels[:, :50] == 255).all()


def test_sixteen_bits_are_refused_with_a_reason(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((50, 50), np.uint16)).save(tmp_path / "a.png")
    with pytest.raises(
        UnreadableSlideError, match=r"expected 8 bits per channel, found .* export it as 8-bit RGB"
    ):
        open_slide(SlideEntry("s", tmp_path / "a.png", mpp=Mpp.square(0.25)))


def test_truncated_images_are_named(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    noise = Image.fromarray(rng.integers(0, 255, (300, 300, 3), dtype=np.uint8))
    for name, kind in (("a.png", "PNG"), ("a.jpg", "JPEG"), ("a.tif", "TIFF")):
        buffer = io.BytesIO()
        noise.save(buffer, kind)
        for fraction in (0.05, 0.5, 0.9):
            path = tmp_path / name
            path.write_bytes(buffer.getvalue()[: int(len(buffer.getvalue()) * fraction)])
            with pytest.raises(UnreadableSlideError, match="found a damaged") as caught:
                open_slide(SlideEntry("s", path, mpp=Mpp.square(0.25)))
            assert "\n" not in str(caught.value)


def png_claiming(width: int, height: int) -> bytes:
    """A small PNG whose header claims a size, and whose data is a bomb of zeros."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(b"\0" * 10_000_000, 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_image_bombs_are_refused_before_they_are_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png_claiming(60_000, 60_000))
    assert path.stat().st_size < 20_000
    with pytest.raises(
        UnreadableSlideError, match=r"at most 178,956,970 pixels, found too many .* tiled TIFF"
    ):
        open_slide(SlideEntry("s", path, mpp=Mpp.square(0.25)))
    tiff = tmp_path / "bomb.tif"
    tifffile.imwrite(tiff, shape=(40_000, 30_000, 3), dtype=np.uint8, bigtiff=True, photometric="rgb")
    with pytest.raises(UnreadableSlideError, match="found too many"):
        open_slide(SlideEntry("s", tiff, mpp=Mpp.square(0.25)))


def test_only_the_first_page_is_read_with_a_warning(tmp_path: Path) -> None:
    first, second = Image.fromarray(scene()), Image.fromarray(scene(300, 200))
    first.save(tmp_path / "stack.tif", save_all=True, append_images=[second])
    info = info_of(tmp_path / "stack.tif", Mpp.square(0.25))
    assert info.size_l0_px == (700, 500)
    assert info.warnings == ("only the first of 2 pages is read",)


# ---- quality warnings


def test_a_dark_background_is_named(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    dark = rng.integers(0, 40, (600, 600, 3), dtype=np.uint8)
    dark[200:300, 200:300, 2] = 220  # a nucleus in DAPI
    write_array_pyramid(tmp_path / "f.tif", dark, mpp=Mpp.square(0.25), downsamples=(1, 4))
    Image.fromarray(dark).save(tmp_path / "f.png")
    for name in ("f.tif", "f.png"):
        (warning,) = info_of(tmp_path / name, Mpp.square(0.25)).warnings
        assert "fluorescence" in warning


def test_the_dark_frame_of_a_round_field_is_not(tmp_path: Path) -> None:
    y, x = np.mgrid[:600, :800]
    photograph = np.where(((x - 400) ** 2 + (y - 300) ** 2 < 300**2)[..., None], 230, 0)
    rgb = np.broadcast_to(photograph, (600, 800, 3)).astype(np.uint8)
    Image.fromarray(rgb).save(tmp_path / "field.png")
    assert info_of(tmp_path / "field.png", Mpp.square(0.25)).warnings == ()


def test_colour_profiles_are_named_unless_srgb(tmp_path: Path) -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    for profile, count in ((srgb, 0), (lab, 1), (b"no profile", 0)):
        Image.fromarray(scene()).save(tmp_path / "a.png", icc_profile=profile)
        warnings = info_of(tmp_path / "a.png", Mpp.square(0.25)).warnings
        assert len(warnings) == count
        assert all("is not applied: colours are as stored" in text for text in warnings)


# ---- label and macro images


def test_associated_images_are_never_touched() -> None:
    """They show names and barcodes; no code path may as much as ask for them."""
    sources = (Path(__file__).parents[2] / "src" / "inkdot").rglob("*.py")
    assert [path.name for path in sources if "associated_images" in path.read_text(encoding="utf-8")] == []


# ---- real files


EXPECTED = {
    "CMU-1-Small-Region.svs": ("aperio", (2220, 2967), 0.499, "metadata", None),
    "TCGA-CR-7395-01A-01-TS1.svs": ("aperio", (4443, 3567), 0.25, "manifest", MissingMppError),
    "oral-scc-he-no-mpp.tif": ("generic-tiff", (8256, 8064), 0.25, "manifest", MissingMppError),
    "gcp-jpeg.dcm": ("dicom", (957, 715), 0.25, "manifest", ImplausibleMppError),
    "hamamatsu-test3-DAPI-2-387.ndpi": ("hamamatsu", (3968, 4864), 0.2282, "metadata", None),
}


@pytest.mark.real_data
@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_real_slides_open_or_say_what_is_missing(real_data: Path, name: str) -> None:
    vendor, size, mpp, source, refusal = EXPECTED[name]
    entry = SlideEntry("s", real_data / "slides" / name)
    if refusal is not None:
        with pytest.raises(refusal, match="column `mpp`, or with --mpp"):
            open_slide(entry)
        entry = SlideEntry("s", entry.path, mpp=Mpp.square(0.25))
    with closing(open_slide(entry)) as slide:
        info = slide.info
        assert (info.vendor, info.size_l0_px, info.mpp_source) == (vendor, size, source)
        assert info.mpp.x == pytest.approx(mpp, rel=1e-3)
        assert info.synthetic is False
        assert bool(info.warnings) == ("DAPI" in name)
        pixels = slide.read(plan_rectangle(info, 0, size[0] // 2, size[1] // 2, 256, 256))
        assert pixels.shape == (256, 256, 3)
        assert max(slide.thumbnail(300).shape) == 300


@pytest.mark.real_data
def test_a_real_dicom_that_openslide_does_not_read_is_named(real_data: Path) -> None:
    with pytest.raises(UnreadableSlideError, match=r"small_dicom\.dcm: expected readable pixels") as caught:
        open_slide(SlideEntry("s", real_data / "slides" / "small_dicom.dcm", mpp=Mpp.square(0.25)))
    assert "\n" not in str(caught.value)
