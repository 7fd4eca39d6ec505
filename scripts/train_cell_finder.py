"""Train the cell finder that is installed with inkdot (src/inkdot/cell_finder/shipped).

    python scripts/train_cell_finder.py --data DIR --out FOLDER [--leave-out SLIDE] [--leave-out-nuclei K] [--steps N]

DIR holds the folders csf, nuclei and lbc, which are not part of the repository. Trained on, all at about 0.5 µm per pixel:

- csf: boxes of labels_by_eye.csv; the outlines of their nuclei are in scripts/cell_finder_outlines.json. A box without a
  nucleus is background as a whole. Outside of the boxes only bright glass is background, the rest is left out.
- nuclei: images with a label per nucleus, brought to a median nuclear diameter of 8 to 15 µm, since they state no scale.
- lbc: cytoplasm and glass of cervical cells, away from anything dark, as background.
- synthetic spots and sections, whose nuclei are known.

The same data and seed give the same weights on the same machine; 1200 steps take about 8 minutes on one core. --leave-out
trains without a slide, for benchmarks/bench_csf.py --cell-finder; --leave-out-nuclei without every fourth image from the
K-th (0 to 3), for benchmarks/bench_nuclei.py.
"""
# pyright: basic

import argparse
import json
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch.nn import functional
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from inkdot.cell_finder.finder_files import FinderFile, write_finder
from inkdot.cell_finder.network import CellFinderNetwork
from inkdot.config import default_config
from inkdot.geometry import level_for, plan_rectangle
from inkdot.manifest import read_slides
from inkdot.slides import open_slide
from inkdot.synthetic.cells.shapes import polygon_um
from inkdot.synthetic.cohort.cohort_plan import plan_cohort
from inkdot.synthetic.rendering.scene_source import TILE_SIDE_PX, SceneSource
from inkdot.synthetic.scenes import build_scene
from inkdot.tiling.foreground.glass import find_glass

WIDTHS = (16, 24, 40, 64)
SIDE_PX = 128  # of a sample, at 0.5 µm per pixel
BATCH = {"csf with nuclei": 9, "csf without": 6, "lbc": 3, "synthetic": 3, "nuclei": 3}
LEARNING_RATE, WEIGHT_DECAY = 4e-3, 2e-2
CROP_L0_PX = 288
BOX_MARGIN_L0_PX = 6
BRIGHT = 225  # grey level of what is certainly glass on these slides
CENTRE_THRESHOLD, NUCLEUS_THRESHOLD = 0.40, 0.45
PRESETS = {
    "lm-typical": 4, "lm-heavy": 3, "normal": 3, "pleocytosis": 4, "treated": 2, "inadequate": 3, "laboratories": 8,
    "demo-sections": 4, "demo-training": 6, "csf-cytospin": 16,
}  # fmt: skip
NO_NUCLEI = frozenset({"apoptotic_body", "ghost", "nuclear_dust", "nuclear_streak", "smudged_cell"})


@dataclass
class Crop:
    """An image with the nuclei on it.

    Attributes:
        group: Key of BATCH.
        kind: What is drawn evenly within a group.
        rgb: Shape [height, width, 3].
        glass: Colour of empty glass.
        nuclei: Number of the nucleus at each pixel, shape [height, width].
        supervised: 1 where it is known whether there is a nucleus.
        scale: Least and largest factor to 0.5 µm per pixel.
    """

    group: str
    kind: str
    rgb: npt.NDArray[np.uint8]
    glass: tuple[float, float, float]
    nuclei: npt.NDArray[np.int32]
    supervised: npt.NDArray[np.uint8]
    scale: tuple[float, float] = (0.5, 0.5)

    def centres(self) -> npt.NDArray[np.float32]:
        """Middle and radius of each nucleus in pixels, shape [nuclei, 3]."""
        y, x = np.nonzero(self.nuclei)
        owner = self.nuclei[y, x]
        area = np.maximum(np.bincount(owner), 1)
        middle = [np.bincount(owner, at) / area for at in (x, y)]
        table = np.stack([*middle, np.sqrt(area / np.pi)], axis=1).astype(np.float32)
        return table[1:][area[1:] >= 20]


def csf_crops(data: Path, leave_out: str) -> Iterator[Crop]:
    labels = pd.read_csv(data / "csf" / "labels_by_eye.csv")
    outlines = json.loads(Path(__file__).with_name("cell_finder_outlines.json").read_text(encoding="utf-8"))
    drawn = {box["label"]: box for box in outlines["boxes"]}
    heads = default_config("thinprep").head_records
    for entry in read_slides(data / "csf" / "slides.csv", heads):
        own = labels[(labels.slide_id == entry.slide_id) & ~labels.label.isin(("unsure", "pen_or_edge"))]
        if entry.slide_id == leave_out or own.empty:
            continue
        slide = open_slide(entry)
        glass = find_glass(slide, level_for(slide.info, 4.0)).rgb
        for row in own.itertuples():
            left, top = (
                int(row.x_l0_px + row.width_l0_px // 2 - CROP_L0_PX // 2),
                int(row.y_l0_px + row.height_l0_px // 2 - CROP_L0_PX // 2),
            )
            rgb = slide.read(plan_rectangle(slide.info, 0, left, top, CROP_L0_PX, CROP_L0_PX))
            crop = Crop("csf without", f"{row.slide_id} {row.label}", rgb, glass, *_blank(rgb))
            x, y = row.x_l0_px - left - BOX_MARGIN_L0_PX, row.y_l0_px - top - BOX_MARGIN_L0_PX
            box = (
                slice(max(0, y), max(0, y + row.height_l0_px + 2 * BOX_MARGIN_L0_PX)),
                slice(max(0, x), max(0, x + row.width_l0_px + 2 * BOX_MARGIN_L0_PX)),
            )
            known = drawn.get(int(row.Index))
            if known is None or known["complete"]:
                crop.supervised[box] = 1
            for number, outline in enumerate(known["nuclei"] if known else (), start=1):
                cv2.fillPoly(crop.nuclei, [np.array(outline, np.int32) - (left, top)], number)
                crop.group = "csf with nuclei"
            for outline in known["unclear"] if known else ():
                cv2.fillPoly(crop.supervised, [np.array(outline, np.int32) - (left, top)], 0)
            bright = cv2.GaussianBlur(rgb, (0, 0), 3).min(axis=2) > BRIGHT
            crop.supervised[bright & (crop.nuclei == 0)] = 1
            if crop.supervised.any():
                yield crop
        slide.close()


def nuclei_crops(data: Path, leave_out: int) -> Iterator[Crop]:
    for number, path in enumerate(sorted((data / "nuclei").glob("*_labels.png"))):
        if number % 4 == leave_out:
            continue
        rgb = _read(path.with_name(path.name.replace("_labels", "")))
        nuclei = cv2.imread(str(path), cv2.IMREAD_UNCHANGED).astype(np.int32)
        nuclei = nuclei[..., 0] if nuclei.ndim == 3 else nuclei
        areas = np.bincount(nuclei.ravel())[1:]
        diameter = float(np.median(np.sqrt(4.0 / math.pi * areas[areas > 0])))
        white = rgb.min(axis=2)
        top = float(np.quantile(white, 0.98))
        glass = (245.0,) * 3 if top <= 200 else _median(rgb[white >= 0.9 * top])
        blank = np.ones(nuclei.shape, np.uint8)
        yield Crop("nuclei", "nuclei", rgb, glass, nuclei, blank, (17.0 / diameter, 30.0 / diameter))


def lbc_crops(data: Path) -> Iterator[Crop]:
    rng = np.random.default_rng(1)
    for name, count in (("NL", 110), ("LSIL", 50), ("SCC", 20)):
        for path in rng.choice(sorted((data / "lbc" / name).iterdir()), count, replace=False):
            rgb = _read(path)
            glass = tuple(np.percentile(rgb.reshape(-1, 3), 97, axis=0))
            od = np.log10(glass / np.maximum(cv2.GaussianBlur(rgb, (0, 0), 1.5), 1))
            dark = cv2.morphologyEx(
                (od[..., :2].min(axis=2) > 0.28).astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3))
            )
            far = (cv2.dilate(dark, np.ones((17, 17))) == 0).astype(np.uint8)
            if ((far > 0) & (od.max(axis=2) > 0.12)).mean() >= 0.05:
                yield Crop("lbc", name, rgb, glass, _blank(rgb)[0], far, (0.45, 0.9))


def synthetic_crops() -> Iterator[Crop]:
    rng = np.random.default_rng(2)
    for preset, slides in PRESETS.items():
        for plan in plan_cohort(preset, slides, 91, spot_mm=0.9, mpp=0.25):
            stain = plan.stain()
            scene = build_scene(plan, plan.draw_patient(), stain)
            if not scene.cells or scene.seam is not None:
                continue
            source = SceneSource(scene, plan.mpp, stain, plan.scanner_properties(), plan.number)
            places = np.array([(cell.x_um, cell.y_um) for cell in scene.cells])
            places = places[rng.permutation(len(places))[:5]]
            for thing in scene.backdrop:
                at = rng.uniform(
                    (thing.box.left_um, thing.box.top_um), (thing.box.right_um, thing.box.bottom_um)
                )
                places = np.vstack([places, at])
            corners = {
                tuple(corner) for corner in (places[:, ::-1] / plan.mpp // TILE_SIDE_PX).astype(int).tolist()
            }
            for row, column in sorted(corners)[:7]:
                crop = _synthetic(scene, source, plan, row, column)
                if crop is not None:
                    yield crop


def _synthetic(scene, source, plan, row: int, column: int) -> Crop | None:
    """Four tiles of a synthetic slide with their nuclei; those far out of focus and remains of cells are left out."""
    side = TILE_SIDE_PX
    if not (0 <= row < source.size_px[1] // side - 1 and 0 <= column < source.size_px[0] // side - 1):
        return None
    rgb = np.zeros((2 * side, 2 * side, 3), np.uint8)
    for down in (0, 1):
        for right in (0, 1):
            tile = source.tile(column + right, row + down)
            tile = source.pool[tile] if isinstance(tile, int) else tile
            rgb[down * side : (down + 1) * side, right * side : (right + 1) * side] = tile
    nuclei, supervised = _blank(rgb)
    supervised[:] = 1
    number = 0
    for cell in scene.cells:
        at = np.array([cell.x_um, cell.y_um]) / plan.mpp - np.array([column, row]) * side
        if not cell.nuclei or cell.kind == "precipitate" or (at < -120).any() or (at > 2 * side + 120).any():
            continue
        mask = np.zeros(nuclei.shape, np.uint8)
        for nucleus in cell.nuclei:
            outline = (
                polygon_um(nucleus.outline, cell.x_um + nucleus.dx_um, cell.y_um + nucleus.dy_um) / plan.mpp
            )
            cv2.fillPoly(mask, [np.round(outline - np.array([column, row]) * side).astype(np.int32)], 1)
        if cell.kind == "neutrophil" and mask.any():  # lobes of one nucleus
            lobes = np.argwhere(mask)[:, ::-1].astype(np.int32)
            cv2.fillConvexPoly(mask, cv2.convexHull(lobes), 1)
        elif len(cell.nuclei) > 1:
            mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8))
        if cell.kind in NO_NUCLEI or abs(cell.z_um) > 6.0:
            supervised[cv2.dilate(mask, np.ones((13, 13), np.uint8)) > 0] = 0
        elif mask.any():
            number += 1
            nuclei[mask > 0] = number
    return Crop("synthetic", plan.preset, rgb, _median(source.pool[0].reshape(-1, 3)), nuclei, supervised)


def _blank(rgb) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]]:
    return np.zeros(rgb.shape[:2], np.int32), np.zeros(rgb.shape[:2], np.uint8)


def _median(pixels) -> tuple[float, float, float]:
    return tuple(float(value) for value in np.median(pixels, axis=0))


def _read(path: Path) -> npt.NDArray[np.uint8]:
    return np.ascontiguousarray(cv2.imread(str(path), cv2.IMREAD_COLOR)[..., ::-1])


def sample(crop: Crop, centres, rng: np.random.Generator):
    """Optical density [3, 128, 128], and nucleus, centre and supervision [64, 64], turned, scaled and stained at random."""
    height, width = crop.nuclei.shape
    factor = math.exp(rng.uniform(*np.log(crop.scale))) * math.exp(rng.uniform(-0.18, 0.18))
    shift = 0.35 * np.array([width, height]) if width > 300 or crop.group == "nuclei" else np.full(2, 45.0)
    middle = np.array([width, height]) / 2 + rng.uniform(-shift, shift)
    turn = cv2.getRotationMatrix2D(tuple(middle), rng.uniform(0, 360), factor)
    turn[:, 2] += SIDE_PX / 2 - middle
    if rng.integers(2):
        turn[0] *= -1
        turn[0, 2] += SIDE_PX - 1
    source = crop.rgb if factor > 0.9 else cv2.GaussianBlur(crop.rgb, (0, 0), 0.35 / factor)
    rgb = cv2.warpAffine(source, turn, (SIDE_PX, SIDE_PX), borderMode=cv2.BORDER_REFLECT_101)
    half, size = turn * 0.5, SIDE_PX // 2
    half[:, 2] -= 0.25
    nuclei = cv2.warpAffine(crop.nuclei.astype(np.float32), half, (size, size), flags=cv2.INTER_NEAREST)
    supervised = cv2.warpAffine(crop.supervised, half, (size, size), flags=cv2.INTER_NEAREST)
    od = np.log10(np.asarray(crop.glass, np.float32) / np.maximum(rgb.astype(np.float32), 1)).transpose(
        2, 0, 1
    )
    centre = _centre_map(centres, half, 0.5 * factor, size)
    # Nuclei that touch are parted by a line of background.
    least = cv2.erode(np.where(nuclei > 0, nuclei, 1e6).astype(np.float32), np.ones((3, 3)))
    parted = (nuclei > 0) & (least == cv2.dilate(nuclei, np.ones((3, 3))))
    return (
        _stained(od, rng).astype(np.float32),
        parted.astype(np.float32),
        centre,
        supervised.astype(np.float32),
    )


def _centre_map(centres, turn, factor: float, size: int):
    y, x = np.mgrid[:size, :size].astype(np.float32)
    heat = np.zeros((size, size), np.float32)
    for middle_x, middle_y, radius in centres:
        at = turn @ np.array([middle_x, middle_y, 1.0])
        reach = radius * factor
        if reach >= 1.2 and (at > -reach).all() and (at < size + reach).all():
            sigma = max(1.1, 0.32 * reach)
            heat = np.maximum(heat, np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / (2 * sigma**2)))
    return heat.astype(np.float32)


def _stained(od, rng: np.random.Generator):
    """Another stain, lamp, focus and noise: mixed channels, so that hue alone does not decide."""
    if rng.random() < 0.85:
        mix = np.eye(3) + rng.normal(0, rng.choice([0.08, 0.2]), (3, 3))
        od = np.tensordot(mix, od, 1) * math.exp(rng.normal(0, 0.22))
        od = od * np.exp(rng.normal(0, 0.08, (3, 1, 1))) + rng.normal(0, 0.012, (3, 1, 1))
    od = od.astype(np.float32)
    chance = rng.random()
    if chance < 0.35:
        sigma = rng.uniform(0.4, 1.5)
        od = np.stack([cv2.GaussianBlur(plane, (0, 0), sigma) for plane in od])
    elif chance < 0.5:
        gain = rng.uniform(0.3, 1.0)
        od = np.stack([plane + gain * (plane - cv2.GaussianBlur(plane, (0, 0), 1.0)) for plane in od])
    if rng.random() < 0.3:
        od = od + rng.normal(0, rng.uniform(0.005, 0.03), od.shape)
    return np.clip(od, -0.05, 2.55)


class Samples(IterableDataset):
    """Batches without end, from one seed."""

    def __init__(self, crops: list[Crop], seed: int) -> None:
        self._crops, self._seed = crops, seed

    def __iter__(self):
        assert get_worker_info() is not None
        rng = np.random.default_rng(self._seed)
        groups = {name: [crop for crop in self._crops if crop.group == name] for name in BATCH}
        centres = {id(crop): crop.centres() for crop in self._crops}
        chances = {}
        for name, crops in groups.items():
            count = Counter(crop.kind for crop in crops)
            chance = np.array([count[crop.kind] ** -0.5 for crop in crops])
            chances[name] = chance / chance.sum()
        while True:
            drawn = [
                groups[name][rng.choice(len(groups[name]), p=chances[name])]
                for name, count in BATCH.items()
                for _ in range(count)
            ]
            parts = zip(*(sample(crop, centres[id(crop)], rng) for crop in drawn), strict=True)
            yield [torch.from_numpy(np.stack(part)) for part in parts]


def loss_of(logits, nucleus, centre, supervised):
    """Cross-entropy and Dice of the nuclei, and a focal cross-entropy of the centres, where supervised."""
    entropy = functional.binary_cross_entropy_with_logits
    area = supervised.sum().clamp(min=1)
    flat = (entropy(logits[:, 0], nucleus, reduction="none") * supervised).sum() / area
    chance = torch.sigmoid(logits[:, 0]) * supervised
    dice = 1 - (2 * (chance * nucleus).sum() + 1) / (chance.sum() + (nucleus * supervised).sum() + 1)
    focus = (torch.sigmoid(logits[:, 1]) - centre).abs() ** 2
    heat = (focus * entropy(logits[:, 1], centre, reduction="none") * supervised).sum()
    return flat + 0.5 * dice + 0.5 * heat / (centre * supervised).sum().clamp(min=1)


def train(crops: list[Crop], steps: int, seed: int) -> CellFinderNetwork:
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    network = CellFinderNetwork(WIDTHS).to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(network.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=steps, pct_start=0.2)
    batches = iter(DataLoader(Samples(crops, seed), batch_size=None, num_workers=1, prefetch_factor=4))
    for step in range(steps):
        od, *truth = next(batches)
        loss = loss_of(network(od.to(memory_format=torch.channels_last)), *truth)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if step % 50 == 0:
            print(f"step {step} of {steps}, loss {loss.item():.3f}", flush=True)
    return network.eval()


def main() -> int:
    parser = argparse.ArgumentParser(description="Train the cell finder.")
    parser.add_argument("--data", type=Path, required=True, help="folder of csf, nuclei and lbc")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--leave-out", default="", help="slide that is not trained on")
    parser.add_argument(
        "--leave-out-nuclei", type=int, default=-1, help="0 to 3: every fourth image from here"
    )
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    cv2.setNumThreads(0)  # threads of OpenCV do not survive the fork of the data loader
    crops = [
        *csf_crops(arguments.data, arguments.leave_out),
        *nuclei_crops(arguments.data, arguments.leave_out_nuclei),
        *lbc_crops(arguments.data),
        *synthetic_crops(),
    ]
    print({name: sum(crop.group == name for crop in crops) for name in BATCH}, flush=True)
    network = train(crops, arguments.steps, arguments.seed)
    slides = sorted({crop.kind.split()[0] for crop in crops if crop.group.startswith("csf")})
    description = FinderFile(
        weights_sha256="",
        widths=WIDTHS,
        centre_threshold=CENTRE_THRESHOLD,
        nucleus_threshold=NUCLEUS_THRESHOLD,
        stains=["pap", "mgg", "giemsa", "he"],
        trained_on=[*slides, "nuclei", "lbc", "synthetic"],
    )
    weights = {
        name: values.numpy() for name, values in network.state_dict().items() if values.dtype == torch.float32
    }
    card = Path(__file__).with_name("cell_finder_card.md").read_text(encoding="utf-8")
    write_finder(arguments.out, description, weights, card)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
