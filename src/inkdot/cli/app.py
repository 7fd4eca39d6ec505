"""The program: its commands, its exit codes, and how errors reach the terminal.

A command imports its stage when it runs, so that ``--help`` loads no numerical library.
"""

import os
import sys
import time
from typing import Annotated, Final, Never

import typer

from inkdot import __version__
from inkdot.cli.case import case
from inkdot.cli.case_model import case_model
from inkdot.cli.cell_finder import cell_finder
from inkdot.cli.compare import compare
from inkdot.cli.embed import embed
from inkdot.cli.evaluate import evaluate
from inkdot.cli.model import encoders, model
from inkdot.cli.options import renamed_options
from inkdot.cli.plan import plan
from inkdot.cli.predict import predict
from inkdot.cli.prepare import demo, doctor, init, synth, tile
from inkdot.cli.review import review
from inkdot.cli.run import run
from inkdot.cli.status import merge, status
from inkdot.cli.stress import stress
from inkdot.cli.train import TRAIN_SETTINGS, train
from inkdot.errors import SlideError, UserError
from inkdot.storage.permissions import private_files

_OVERVIEW = """\b
Where to find what (COMMAND --help lists the options):
  foreground, clusters, tiles, adequacy           tile
  embeddings (features) of tiles, HDF5            embed
  labelled tiles, labelled images                 train
  multiple-instance learning (MIL)                train; config: training.mil
  pseudo-labels                                   config: training.mil
  early stopping, checkpoint, EMA                 config: training
  foundation models, pretrained encoders          encoders
  test-time augmentation (TTA)                    config: model
  abstention, selective risk                      config: training
  check, score and review in one step             run
  out-of-distribution (OOD) detection, heat maps  predict
  SLURM job arrays, shards, progress of a batch   predict --shard, status
  AUC, calibration, confidence intervals          evaluate
  compare models: paired bootstrap, DeLong        compare
  sample size, power, reader study                plan
  slide score with CSF chemistry, MRI, counts     case-model
  robustness: blur, stain, JPEG, scale            stress
  gallery, slide viewer, verdicts                 review export, review serve
  active learning                                 review next
  cell finder, "not a cell"                       cell-finder fine-tune
  export to ONNX, OpenVINO, WSInfer               model export
  clinical data, nomogram, EANO-ESMO, PD-L1 CPS   case
`inkdot init` writes a config with every key explained.

Exit codes: 0 done; 1 some slides failed and are listed; 2 wrong input, one line names what to change.
"""

app = typer.Typer(
    name="inkdot",
    help="Find and rank suspicious regions on cytology and histology slides. Research use only: it flags, people diagnose.",
    epilog=_OVERVIEW,
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for _command in (demo, init, doctor, synth, tile):
    app.command()(_command)
app.command()(embed)
app.command(epilog=TRAIN_SETTINGS)(train)
app.command()(evaluate)
app.command()(compare)
app.command()(stress)
app.command()(run)
app.command()(predict)
app.command()(status)
app.command()(merge)
app.command()(encoders)
app.add_typer(plan, name="plan")
app.add_typer(case_model, name="case-model")
app.add_typer(review, name="review")
app.add_typer(model, name="model")
app.add_typer(cell_finder, name="cell-finder")
app.add_typer(case, name="case")

_RANK_ZERO_SECONDS: Final = 20.0
_INTERRUPTED: Final = 130
"""Exit code after Ctrl-C, as shells give it."""


def _version(value: bool) -> None:
    if value:
        typer.echo(f"inkdot {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options of the program as a whole."""


def main() -> None:
    """Run the command line.

    Wrong input ends with one line on stderr and exit code 2, a slide that cannot be used with 1, Ctrl-C with 130.
    """
    # albumentations asks a server for its newest version at import; nothing here may need a network.
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    if (message := renamed_options(sys.argv[1:])) is not None:
        _fail(message, 2)
    try:
        with private_files():
            app(prog_name="inkdot")
    except UserError as error:
        _let_rank_zero_report()
        _fail(f"inkdot: {error}", 2)
    except SlideError as error:
        _fail(f"inkdot: {error}", 1)
    except SystemExit as end:
        if end.code == _INTERRUPTED:
            typer.echo("inkdot: stopped; run the same command to resume", err=True)
        raise


def _fail(message: str, code: int) -> Never:
    """Print one line and end. Line ends and control characters, as a file name may hold them, are made visible."""
    line = "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in message)
    typer.echo(line, err=True)
    sys.exit(code)


def _let_rank_zero_report() -> None:
    """Wait in the other processes of torchrun: rank zero mostly fails for the same reason, and prints it once.

    torchrun ends them meanwhile. Where rank zero does not fail, this process prints its own message afterwards.
    """
    if os.environ.get("RANK", "0") != "0":
        time.sleep(_RANK_ZERO_SECONDS)


if __name__ == "__main__":
    main()
