"""CPU seconds per slide of every stage of ``inkdot predict``, and peak memory.

    python benchmarks/bench_stages.py SLIDES... --model MODEL [--rounds 3] [--cell-finder shipped] [--allow-synthetic-model]

Runs in this process, slide after slide, so that the CPU time of all its threads is counted. The last
line is JSON: per slide the median CPU seconds of each stage over the rounds, the lowest and highest sum, its tiles, the bytes
written. Real slides need ``--allow-synthetic-model`` with a synthetic model: the cost does not depend on the meaning of the
scores.
docs/how-to/predict-many-slides.md has the results.
"""
# pyright: basic

import argparse
import json
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

from inkdot.config import Config
from inkdot.execution.task import SlideTask, run_task
from inkdot.manifest import read_all_slides
from inkdot.pipeline.results.cluster_slide import ClusterTask
from inkdot.pipeline.results.render_slide import RenderTask
from inkdot.pipeline.scoring.score_slide import ScoringModel, score_slide
from inkdot.pipeline.tile_slide import TileTask, tiling_config
from inkdot.records import SlideEntry
from inkdot.storage.layout import RunLayout
from inkdot.storage.schemas import SCORES_VERSION
from inkdot.storage.tables.parquet_tables import read_table


def main() -> None:
    """Measure, print a line per slide, and JSON at the end."""
    parser = argparse.ArgumentParser(description="CPU seconds of every stage of predict")
    parser.add_argument("slides", nargs="+", type=Path)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument(
        "--out", type=Path, help="an empty folder; one that is removed afterwards where not given"
    )
    parser.add_argument("--rounds", type=int, default=1, help="how often each slide is done anew")
    parser.add_argument("--cell-finder", help="in place of the model's own, such as shipped")
    parser.add_argument("--allow-synthetic-model", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.out or Path(scratch)
        started = time.process_time()
        scoring = ScoringModel.load(arguments.model, allow_synthetic_model=arguments.allow_synthetic_model)
        loading = time.process_time() - started
        config = tiling_config(scoring.predictor.description, arguments.cell_finder)
        slides: list[dict[str, object]] = []
        for entry in read_all_slides(arguments.slides, scoring.predictor.description.head_records):
            layouts = [RunLayout(folder / f"round-{number}") for number in range(arguments.rounds)]
            rounds = [_stages(entry, layout, scoring, config) for layout in layouts]
            if None in rounds:
                continue
            seconds = [own for own in rounds if own is not None]
            sums = [round(sum(own.values()), 2) for own in seconds]
            table, _ = read_table(layouts[0].scores(entry.slide_id), SCORES_VERSION)
            written = sum(path.stat().st_size for path in layouts[0].root.rglob(f"{entry.slide_id}.*"))
            medians = {name: round(statistics.median(own[name] for own in seconds), 2) for name in seconds[0]}
            slides.append(
                {
                    "slide": entry.slide_id,
                    "tiles": len(table),
                    "cpu_s": medians,
                    "total_cpu_s": statistics.median(sums),
                    "lowest_highest": [min(sums), max(sums)],
                    "written_bytes": written,
                }
            )
            print(json.dumps(slides[-1]), file=sys.stderr, flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    runtime = scoring.predictor.runtime
    print(
        json.dumps(
            {"runtime": runtime, "load_cpu_s": round(loading, 2), "peak_bytes": peak, "slides": slides}
        )
    )


def _stages(
    entry: SlideEntry, layout: RunLayout, scoring: ScoringModel, config: Config
) -> dict[str, float] | None:
    """CPU seconds of every stage; None where one failed."""
    tasks: dict[str, SlideTask] = {
        "tile": TileTask(config, layout, labels_needed=False),
        "predict": lambda entry: score_slide(entry, layout, scoring),
        "clusters": ClusterTask(layout, config.morphometry, config.tiling.cell_finder),
        "images": RenderTask(layout),
    }
    seconds: dict[str, float] = {}
    for stage, task in tasks.items():
        before = time.process_time()
        report = run_task(task, entry)
        seconds[stage] = time.process_time() - before
        if report.outcome == "failed":
            print(f"{entry.slide_id}: {stage}: {report.reason}", file=sys.stderr)
            return None
    return seconds if layout.heat_map(entry.slide_id).exists() else None


if __name__ == "__main__":
    main()
