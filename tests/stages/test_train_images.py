"""Training on labelled images: the same network and loop, whatever the columns are called."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import timm
from safetensors.numpy import save_file

from inkdot.config import Config, config_from_mapping
from inkdot.datasets.image_cache import read_image
from inkdot.errors import LeakageError, UserError
from inkdot.manifest import ImageEntry
from inkdot.model.encoders.timm_names import backbone_normalisation
from inkdot.pipeline.batch_settings import BatchSettings, SlideOverrides
from inkdot.pipeline.scoring.unlike_training import UNKNOWN_SCALE_WARNING, model_warnings
from inkdot.records import Mpp
from inkdot.stages import predict, train
from inkdot.storage.layout import RunLayout
from inkdot.storage.models.model_files import read_model_file

HEADS = [
    {
        "name": "malignancy",
        "classes": ["benign", "malignant"],
        "labels": {
            "NL": {"benign": 1.0},
            "LSIL": {"benign": 0.5, "malignant": 0.5},
            "SCC": {"malignant": 1.0},
        },
        "flag_class": "malignant",
    },
    {
        "name": "grade",
        "classes": ["NL", "LSIL", "SCC"],
        "labels": {name: {name: 1.0} for name in ("NL", "LSIL", "SCC")},
    },
]
COLOURS = {"NL": (60, 90, 200), "LSIL": (120, 160, 60), "SCC": (150, 30, 60)}


def config(mpp_of_all: float | str | None = "unknown", **images: object) -> Config:
    return config_from_mapping(
        {
            "tiling": {"side_px": 32, "mpp": 0.5, "stride_px": 32},
            "heads": HEADS,
            "model": {"backbone": "test_efficientnet"},
            "images": {
                "path": "file",
                "group": "original_image",
                "heads": {"malignancy": "label", "grade": "label"},
                "mpp_of_all": mpp_of_all,
                "near_duplicates": "warn",  # painted circles resemble each other
                **images,
            },
            "training": {"epochs": 3, "batch_size": 16, "learning_rate": 0.003, "accelerator": "cpu"},
        }
    )


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Six originals per class, two augmented copies each, under names with spaces and other letters."""
    generator = np.random.default_rng(0)
    lines = ["file,label,original_image,site"]
    for label, colour in COLOURS.items():
        for original in range(6):
            for copy in range(2):
                rgb = np.full((60, 80, 3), 235, np.uint8)
                cv2.circle(rgb, (40, 30), 10, colour, cv2.FILLED)
                noisy = np.clip(rgb + generator.normal(0, 5, rgb.shape), 0, 255).astype(np.uint8)
                name = f"images/{label} ü_{original} ({copy}).png"
                path = tmp_path / name
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(cv2.imencode(".png", noisy[..., ::-1])[1].tobytes())
                lines.append(f"{name},{label},{label} {original},lab-{original % 2}")
    path = tmp_path / "images.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_images_make_a_model_with_three_classes_and_soft_labels(table: Path, tmp_path: Path):
    layout = RunLayout(tmp_path / "run")
    assert train.run_images(config(), table, layout.root) == 0
    model = read_model_file(layout.model)
    assert not model.mpp_known
    assert model.trained_on.images
    assert model.trained_on.slides == 36
    assert model.trained_on.patients == 18
    assert model.trained_on.sites == 2
    assert {f"validation_auc.grade.{name}" for name in COLOURS} < set(model.validation_metrics)
    counts = model.trained_on.tiles_per_class
    assert counts["malignancy.benign"] == counts["grade.NL"] + counts["grade.LSIL"] / 2
    card = (layout.model / "card.md").read_text(encoding="utf-8")
    assert "36 images of 18 groups" in card
    assert "Unknown scale" in card
    split = layout.split_csv.read_text(encoding="utf-8").splitlines()[1:]
    sides: dict[str, set[str]] = {}
    for line in split:
        _, group, side, *_ = line.split(",")
        sides.setdefault(group, set()).add(side)
    assert all(len(found) == 1 for found in sides.values())


@pytest.mark.slow
def test_the_card_states_the_learning_rate_that_the_config_left_open(table: Path, tmp_path: Path):
    backbone = timm.create_model("test_vit", num_classes=0, img_size=32)
    tensors = {name: own.numpy() for name, own in backbone.state_dict().items()}
    save_file(tensors, tmp_path / "vit.safetensors")
    values = config().model_dump(mode="json")
    values["model"] |= {"backbone": "test_vit", "weights": str(tmp_path / "vit.safetensors")}
    values["training"] |= {"epochs": 1, "learning_rate": None}
    layout = RunLayout(tmp_path / "run")
    assert train.run_images(config_from_mapping(values), table, layout.root) == 0
    card = (layout.model / "card.md").read_text(encoding="utf-8")
    stated = "AdamW, learning rate 0.0003, times 0.75 per layer below the heads; gradient norm at most 1; "
    assert stated in card
    # model.json holds what prediction needs: the normalisation, not the learning rate.
    model = read_model_file(layout.model)
    found = (tuple(model.normalisation_mean), tuple(model.normalisation_std))
    assert found == backbone_normalisation("test_vit")
    header, *rows = (layout.root / "metrics.csv").read_text(encoding="utf-8").splitlines()
    rates = [float(row.split(",")[header.split(",").index("learning_rate")]) for row in rows]
    assert 0 < max(rates) <= 0.0003


@pytest.mark.slow
def test_whole_sites_stay_together_when_asked_to(table: Path, tmp_path: Path):
    settings = config()
    together = settings.training.model_copy(update={"group_by": "site", "epochs": 1})
    layout = RunLayout(tmp_path / "run")
    assert train.run_images(settings.model_copy(update={"training": together}), table, layout.root) == 0
    site_of = {
        f"{label} {original}": original % 2 for label in COLOURS for original in range(6)
    }  # as the table says
    sides: dict[int, set[str]] = {}
    for line in layout.split_csv.read_text(encoding="utf-8").splitlines()[1:]:
        _, group, side, *_ = line.split(",")
        sides.setdefault(site_of[group], set()).add(side)
    assert sorted(tuple(found) for found in sides.values()) == [("train",), ("validation",)]


def test_a_missing_class_is_said_in_the_words_of_images_with_what_may_be_done(table: Path, tmp_path: Path):
    settings = config()
    together = settings.training.model_copy(update={"group_by": "site"})
    header, *lines = table.read_text(encoding="utf-8").splitlines()
    # Each site has classes of its own.
    kept = [line[:-5] + ("lab-0" if ",NL," in line else "lab-1") for line in lines]
    table.write_text("\n".join([header, *kept]) + "\n", encoding="utf-8")
    with pytest.raises(UserError) as raised:
        train.run_images(
            settings.model_copy(update={"training": together}), table, tmp_path / "run", dry_run=True
        )
    words = str(raised.value)
    assert "images of class" in words
    assert "groups" in words
    assert "training.group_by: patient" in words
    assert "slides" not in words


@pytest.mark.slow
def test_twice_gives_the_same_bytes_and_a_rerun_reads_nothing(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name in "ab":
        assert train.run_images(config(), table, tmp_path / name) == 0
    for name in (
        "model/weights.safetensors",
        "model/model.json",
        "metrics.csv",
        "cache/images.npy",
        "split.csv",
    ):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    before = (tmp_path / "a" / "cache" / "images.npy").stat().st_mtime_ns
    assert train.run_images(config(), table, tmp_path / "a") == 0
    assert (tmp_path / "a" / "cache" / "images.npy").stat().st_mtime_ns == before
    assert train.run_images(config(crop_px=40), table, tmp_path / "a") == 0
    assert (tmp_path / "a" / "cache" / "images.npy").stat().st_mtime_ns != before


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (lambda path: None, "found nothing at"),
        (lambda path: path.write_bytes(b"cut"), "expected a .safetensors file"),
        (lambda path: save_file({"a": np.zeros(3, np.float32)}, path), "conv_stem.weight .* is missing"),
    ],
)
def test_starting_weights_that_do_not_fit_are_refused_before_any_image_is_read(
    table: Path, tmp_path: Path, write: Callable[[Path], None], words: str
):
    path = tmp_path / "start.safetensors"
    write(path)
    settings = config()
    model = settings.model.model_copy(update={"weights": str(path)})
    with pytest.raises(UserError, match=f"model.weights: .*{words}"):
        train.run_images(settings.model_copy(update={"model": model}), table, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_damaged_image_is_named_and_the_rest_trains(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "images" / "NL ü_0 (0).png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    assert train.run_images(config(), table, tmp_path / "run") == 1
    assert "NL ü_0 (0).png could not be used" in " ".join(capsys.readouterr().err.split())
    assert read_model_file(tmp_path / "run" / "model").trained_on.slides == 35


@pytest.mark.slow
def test_what_readers_warn_of_is_printed_once_and_in_the_card(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Also where the images are in the cache of an earlier run."""
    for original in range(4):
        path = tmp_path / "images" / f"NL ü_{original} (0).png"
        cv2.imwrite(str(path), cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))
    for _ in range(2):
        assert train.run_images(config(), table, tmp_path / "run") == 0
        printed = " ".join(capsys.readouterr().err.split())
        assert printed.count("4 of 36 images (") == printed.count(": grey image without colours") == 1
        assert "grey image without colours" in (tmp_path / "run" / "model" / "card.md").read_text("utf-8")


def test_the_same_image_under_two_groups_is_leakage(table: Path, tmp_path: Path):
    for original in range(6):  # whatever the split, some copy ends on the other side
        source = tmp_path / "images" / f"NL ü_{original} (0).png"
        (tmp_path / "images" / f"copy_{original}.png").write_bytes(source.read_bytes())
        with table.open("a", encoding="utf-8") as file:
            file.write(f"images/copy_{original}.png,NL,another {original},\n")
    with pytest.raises(LeakageError, match="are the same file, but one is in"):
        train.run_images(config(), table, tmp_path / "run")


def test_some_scales_known_and_some_not_is_refused(table: Path, tmp_path: Path):
    lines = table.read_text(encoding="utf-8").splitlines()
    scales = ["mpp", *("0.5" if index % 2 else "" for index in range(len(lines) - 1))]
    table.write_text("\n".join(",".join(pair) for pair in zip(lines, scales, strict=True)), encoding="utf-8")
    with pytest.raises(UserError, match="found 18 of 36 without"):
        train.run_images(config(), table, tmp_path / "run")


def read_tile_of(entry: ImageEntry, settings: Config) -> tuple[np.ndarray, bool]:
    return read_image(entry, settings.tiling, settings.images)[:2]


class TestScale:
    """What of a image becomes the tile."""

    def entry(self, tmp_path: Path, size: tuple[int, int], mpp: float | None) -> ImageEntry:
        width, height = size
        rgb = np.zeros((height, width, 3), np.uint8)
        rgb[..., 0] = np.arange(width) % 256
        rgb[..., 1] = (np.arange(height) % 256)[:, None]
        path = tmp_path / "p.png"
        path.write_bytes(cv2.imencode(".png", rgb[..., ::-1])[1].tobytes())
        return ImageEntry("p.png", path, "g", {}, Mpp.square(mpp) if mpp else None, "")

    def test_a_known_scale_takes_the_centre_at_the_configs_scale(self, tmp_path: Path):
        tile, padded = read_tile_of(self.entry(tmp_path, (200, 100), 0.5), config(0.5))
        assert not padded
        np.testing.assert_array_equal(tile[0, :, 0], np.arange(84, 116))
        np.testing.assert_array_equal(tile[:, 0, 1], np.arange(34, 66))

    def test_a_finer_image_gives_more_of_its_pixels(self, tmp_path: Path):
        tile, _ = read_tile_of(self.entry(tmp_path, (200, 100), 0.25), config(0.25))
        np.testing.assert_allclose(tile[0, :, 0], np.arange(68, 132, 2) + 0.5, atol=0.6)

    def test_an_unknown_scale_takes_the_centre_square_or_the_crop(self, tmp_path: Path):
        entry = self.entry(tmp_path, (200, 96), None)
        whole, _ = read_tile_of(entry, config())
        np.testing.assert_allclose(whole[0, :, 0], np.arange(52, 148, 3) + 1, atol=0.6)
        cropped, _ = read_tile_of(entry, config(crop_px=32))
        np.testing.assert_array_equal(cropped[0, :, 0], np.arange(84, 116))

    def test_a_small_image_is_filled_up_with_white_and_that_is_said(self, tmp_path: Path):
        tile, padded = read_tile_of(self.entry(tmp_path, (20, 20), 0.5), config(0.5))
        assert padded
        assert (tile[0] == 255).all()
        assert tile[16, 16, 0] == 10

    def test_coarser_than_asked_or_smaller_than_the_crop_is_refused(self, tmp_path: Path):
        from inkdot.errors import SlideError

        with pytest.raises(SlideError, match=r"0\.9 µm/px"):
            read_tile_of(self.entry(tmp_path, (200, 100), 0.9), config(0.9))
        with pytest.raises(SlideError, match=r"images\.crop_px = 150"):
            read_tile_of(self.entry(tmp_path, (200, 100), None), config(crop_px=150))
        with pytest.raises(SlideError, match=r"images\.crop_px to hold a tile"):
            read_tile_of(self.entry(tmp_path, (200, 100), 0.5), config(0.5, crop_px=20))


@pytest.mark.slow
def test_a_model_of_unknown_scale_refuses_slides_unless_told_otherwise(table: Path, tmp_path: Path):
    train.run_images(config(), table, tmp_path / "run")
    image = tmp_path / "images" / "NL ü_0 (0).png"
    model = tmp_path / "run" / "model"
    with pytest.raises(UserError, match="--allow-unknown-scale"):
        predict.run(
            [image], model, tmp_path / "results", batch=BatchSettings(overrides=SlideOverrides(mpp=0.5))
        )
    assert not (tmp_path / "results").exists()
    predict.run(
        [image],
        model,
        tmp_path / "results",
        predict.PredictSettings(allow_unknown_scale=True),
        BatchSettings(overrides=SlideOverrides(mpp=0.5)),
    )
    from inkdot.records import SlideEntry

    said = model_warnings(SlideEntry("s", image), read_model_file(model), synthetic_slide=False)
    assert UNKNOWN_SCALE_WARNING in said
