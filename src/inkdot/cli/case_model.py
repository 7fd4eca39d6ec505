"""The commands of ``inkdot case-model``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from inkdot.case_model.read_tables import CaseInputs

case_model = typer.Typer(
    help="One small model of slide scores, counts, measurements and columns of cases.csv, compared with either alone.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Cases = Annotated[Path, typer.Argument(metavar="CASES", help="cases.csv.")]
Model = Annotated[Path, typer.Argument(metavar="MODEL", help="case_model.json.")]
Out = Annotated[Path, typer.Option(help="Output folder.")]
Results = Annotated[Path | None, typer.Option(help="Results of predict for the slides of the cases.")]
Slides = Annotated[Path | None, typer.Option(help="slides.csv; that of the results where not given.")]
Truth = Annotated[
    str,
    typer.Option(
        help="Free column of CASES with positive or negative, or signed_category; the labels of the slides where not given."
    ),
]


@case_model.command()
def train(
    cases: Cases,
    out: Out,
    columns: Annotated[
        str,
        typer.Option(
            help="Columns of CASES, separated by commas, such as csf_protein_g_per_l,glucose_ratio,mri."
        ),
    ],
    slide_columns: Annotated[
        str,
        typer.Option(
            help="slide_score, nuclei_in_focus, clusters, flagged_clusters, top_diameter_ratio … or free columns."
        ),
    ] = "slide_score,nuclei_in_focus,top_diameter_ratio",
    results: Results = None,
    slides: Slides = None,
    out_of_fold: Annotated[
        Path | None,
        typer.Option(
            help="Run folder of train --folds: its out-of-fold scores replace those of the results."
        ),
    ] = None,
    truth: Truth = "",
    log: Annotated[
        str, typer.Option(help="Further columns to take log(1 + value) of, separated by commas.")
    ] = "",
    curves: Annotated[
        bool, typer.Option("--curves", help="Let numbers bend: a spline of three knots.")
    ] = False,
    folds: Annotated[int, typer.Option(min=2, max=20, help="Outer folds.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Of folds and draws.")] = 0,
) -> None:
    """Cross-validate (nested, by patient), then fit a model to all cases.

    Needs scikit-learn: pip install "inkdot[case-model]".
    """
    from inkdot.case_model.read_tables import CaseInputs
    from inkdot.stages import case_model as stage

    inputs = CaseInputs(cases, _names(columns), _names(slide_columns), results, slides, out_of_fold, truth)
    options = stage.TrainOptions(_names(log), curves, folds, seed)
    raise typer.Exit(stage.train(inputs, out, options))


@case_model.command()
def evaluate(
    model: Model,
    cases: Cases,
    out: Out,
    results: Results = None,
    slides: Slides = None,
    truth: Truth = "",
    seed: Annotated[int, typer.Option(min=0, help="Of the draws of patients.")] = 0,
) -> None:
    """Evaluate a finished model on other patients."""
    from inkdot.stages import case_model as stage

    raise typer.Exit(stage.evaluate(model, _inputs(cases, results, slides, truth), out, seed=seed))


@case_model.command()
def predict(model: Model, cases: Cases, out: Out, results: Results = None, slides: Slides = None) -> None:
    """Write the probability of every case, with its interval, missing values and warnings."""
    from inkdot.stages import case_model as stage

    raise typer.Exit(stage.predict(model, _inputs(cases, results, slides, ""), out))


def _inputs(cases: Path, results: Path | None, slides: Path | None, truth: str) -> "CaseInputs":
    from inkdot.case_model.read_tables import CaseInputs

    return CaseInputs(cases, (), (), results, slides, truth=truth)


def _names(text: str) -> list[str]:
    return [name for part in text.split(",") if (name := part.strip())]
