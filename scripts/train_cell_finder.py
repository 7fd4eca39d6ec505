"""Train the cell finder that is installed with inkdot (src/inkdot/cell_finder/shipped).

    python scripts/train_cell_finder.py --data DIR --out FOLDER [--leave-out SLIDE ...] [--leave-out-nuclei K] [--steps N]

DIR holds the folders csf, nuclei and lbc, which are not part of the repository. Trained on, all at about 0.5 µm per pixel:

- csf: boxes of labels_by_eye.csv; the outlines of their nuclei are in scripts/cell_finder_outlines.json. A box without a
  nucleus is background as a whole. Outside of the boxes only bright glass is background, the rest is left out.
- nuclei: images with a label per nucleus, brought to a median nuclear diameter of 8 to 15 µm, since they state no scale.
- lbc: cytoplasm and glass of cervical cells, away from anything dark, as background.
- synthetic spots and sections, whose nuclei are known.

The same data and seed give the same weights on the same machine; 1200 steps take about 8 minutes on one core. --leave-out
trains without slides, for benchmarks/bench_csf.py --cell-finder; --leave-out-nuclei without every fourth image from the
K-th (0 to 3), for benchmarks/bench_nuclei.py.
"""
# pyright: basic

import argparse
import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
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
from inkdot.training.cell_finder.objective import finder_loss
from inkdot.training.cell_finder.samples import Crop, sample

WIDTHS = (16, 24, 40, 64)
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


def csf_crops(data: Path, leave_out: Sequence[str]) -> Iterator[Crop]:
    labels = pd.read_csv(data / "csf" / "labels_by_eye.csv")
    outlines = json.loads(Path(__file__).with_name("cell_finder_outlines.json").read_text(encoding="utf-8"))
    drawn = {box["label"]: box for box in outlines["boxes"]}
    heads = default_config("thinprep").head_records
    for entry in read_slides(data / "csf" / "slides.csv", heads):
        own = labels[(labels.slide_id == entry.slide_id) & ~labels.label.isin(("unsure", "pen_or_edge"))]
        if entry.slide_id in leave_out or own.empty:
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


class Samples(IterableDataset):
    """Batches without end, from one seed."""

    def __init__(self, crops: list[Crop], seed: int) -> None:
        self._crops, self._seed = crops, seed

    def __iter__(self):
        assert get_worker_info() is not None
        rng = np.random.default_rng(self._seed)
        groups = {name: [crop for crop in self._crops if crop.group == name] for name in BATCH}
        groups = {name: crops for name, crops in groups.items() if crops}
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
                if name in groups
                for _ in range(count)
            ]
            parts = zip(*(sample(crop, centres[id(crop)], rng) for crop in drawn), strict=True)
            yield [torch.from_numpy(np.stack(part)) for part in parts]


def train(crops: list[Crop], steps: int, seed: int) -> CellFinderNetwork:
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    network = CellFinderNetwork(WIDTHS).to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(network.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=steps, pct_start=0.2)
    batches = iter(DataLoader(Samples(crops, seed), batch_size=None, num_workers=1, prefetch_factor=4))
    for step in range(steps):
        od, *truth = next(batches)
        loss = finder_loss(network(od.to(memory_format=torch.channels_last)), *truth)
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
    parser.add_argument("--leave-out", nargs="*", default=[], help="slides that are not trained on")
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
