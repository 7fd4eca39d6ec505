"""The commands of ``inkdot plan``."""

from pathlib import Path
from typing import Annotated, Literal

import typer

plan = typer.Typer(
    help="How many patients, cases or readers a study needs (sample size and power).",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Out = Annotated[Path | None, typer.Option(help="File to write: .html (table and plot), .svg, .png or .json.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON in place of the table.")]
Prevalence = Annotated[
    float | None, typer.Option(help="Share of positive patients, 0 to 1: gives the patients in all.")
]
Confidence = Annotated[float, typer.Option(help="Confidence, 0 to 1.")]
Power = Annotated[float, typer.Option(help="Power, 0 to 1.")]
Alpha = Annotated[float, typer.Option(help="Level of the two-sided test, 0 to 1.")]


@plan.command()
def sensitivity(
    expected: Annotated[float, typer.Option(help="Sensitivity (or specificity) to expect, 0 to 1.")],
    half_width: Annotated[float, typer.Option(help="Half of the interval's width, such as 0.05 for ± 5 %.")],
    confidence: Confidence = 0.95,
    prevalence: Prevalence = None,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Patients for an interval of ± x at a sensitivity (or specificity): exact, Clopper-Pearson."""
    from inkdot.evaluation.planning.patients import sensitivity_plan
    from inkdot.stages import plan as stage

    made = sensitivity_plan(expected, half_width, confidence=confidence, prevalence=prevalence)
    raise typer.Exit(stage.run(made, out, as_json=as_json))


@plan.command()
def lock(
    sensitivity: Annotated[float, typer.Option(help="Sensitivity that the threshold must keep, 0 to 1.")],
    confidence: Confidence = 0.95,
    prevalence: Prevalence = None,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Positive patients to lock a threshold of a guaranteed sensitivity."""
    from inkdot.evaluation.planning.patients import lock_plan
    from inkdot.stages import plan as stage

    made = lock_plan(sensitivity, confidence, prevalence=prevalence)
    raise typer.Exit(stage.run(made, out, as_json=as_json))


@plan.command()
def compare(
    a: Annotated[float, typer.Option("--a", help="Sensitivity (or specificity) of model A, 0 to 1.")],
    b: Annotated[float, typer.Option("--b", help="The same of model B.")],
    discordant: Annotated[
        float | None,
        typer.Option(
            help="Share of the patients of whom one model alone is right; as of models that err independently where not given."
        ),
    ] = None,
    power: Power = 0.8,
    alpha: Alpha = 0.05,
    prevalence: Prevalence = None,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Patients to tell two models apart on the same patients: power of the exact McNemar test."""
    from inkdot.evaluation.planning.patients import compare_plan
    from inkdot.stages import plan as stage

    made = compare_plan(a, b, discordant=discordant, power=power, alpha=alpha, prevalence=prevalence)
    raise typer.Exit(stage.run(made, out, as_json=as_json))


@plan.command("reader-study")
def reader_study(
    difference: Annotated[float, typer.Option(help="Difference in the readers' mean AUC to find.")],
    components: Annotated[
        str,
        typer.Option(
            help="JSON file with var_r, var_tr, cov1, cov2, cov3, var and cases of a pilot study; or van-dyke (published)."
        ),
    ],
    design: Annotated[
        Literal["crossed", "two-arm"],
        typer.Option(help="crossed: every reader reads in both ways; two-arm: each reader in one way."),
    ] = "crossed",
    readers: Annotated[
        list[int] | None, typer.Option(min=2, max=200, help="Number of readers to try; may be repeated.")
    ] = None,
    power: Power = 0.8,
    alpha: Alpha = 0.05,
    washout_weeks: Annotated[
        float, typer.Option(min=0, help="Weeks between two readings of a case, for the crossed design.")
    ] = 4.0,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Readers and cases of a reader study, with the model and without: Obuchowski-Rockette, as updated by Hillis."""
    from inkdot.evaluation.planning.readers import reader_study_plan
    from inkdot.stages import plan as stage

    made = reader_study_plan(
        difference,
        components,
        design=design,
        readers=readers or (),
        power=power,
        alpha=alpha,
        washout_weeks=washout_weeks,
    )
    raise typer.Exit(stage.run(made, out, as_json=as_json))
