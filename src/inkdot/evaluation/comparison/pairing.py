"""The same rows of several tables, in the same order: what is compared must be the same patients under the same truth."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import numpy.typing as npt

from inkdot.errors import UserError
from inkdot.evaluation.comparison.scored_table import ScoredTable
from inkdot.labels import score_columns

_MOST_NAMED = 5


def paired(tables: Sequence[ScoredTable], *, common: bool) -> list[ScoredTable]:
    """The tables with the rows of the first, in its order.

    Args:
        tables: At least two.
        common: Keep the slides or images that all tables have; without it they must have the same.

    Raises:
        UserError: Heads, slides (or images), patients, truths or folds differ; the message names the first few.
    """
    first = tables[0]
    for table in tables:
        _require_unique(table)
    for other in tables[1:]:
        _require_same_heads(first, other)
    shared: set[str] = set(first.ids.tolist())
    for other in tables[1:]:
        shared &= set(other.ids.tolist())
    if not common:
        for other in tables[1:]:
            _require_same_ids(first, other)
    if not shared:
        raise UserError(
            f"{first.source}: expected {first.unit}s that all results have, found none; they are of different slides or images"
        )
    kept = [_rows(table, [name for name in first.ids.tolist() if name in shared]) for table in tables]
    for other in kept[1:]:
        _require_same_content(kept[0], other)
    return kept


def _rows(table: ScoredTable, names: Sequence[str]) -> ScoredTable:
    row_of = {name: row for row, name in enumerate(table.ids.tolist())}
    return table.of(np.array([row_of[name] for name in names], np.int64))


def _require_unique(table: ScoredTable) -> None:
    names, counts = np.unique(table.ids, return_counts=True)
    if (counts > 1).any():
        raise UserError(
            f"{table.source}: expected one row per {table.unit}, found several of {_listed(names[counts > 1].tolist())}; a run "
            "on labelled regions of slides is compared by its slides, which need a newer out_of_fold_slides.csv"
        )


def _require_same_heads(first: ScoredTable, other: ScoredTable) -> None:
    if first.unit != other.unit:
        raise UserError(
            f"{other.source}: expected {first.unit}s, as in {first.source}, found {other.unit}s; compare like with like"
        )
    one, two = ([own.removeprefix("p.") for own in score_columns(table.heads)] for table in (first, other))
    flags = [[head.flag_class for head in table.heads] for table in (first, other)]
    if one != two or flags[0] != flags[1]:
        raise UserError(
            f"{other.source}: expected the classes of {first.source} ({', '.join(one)}), found {', '.join(two)}; compare "
            "models of the same heads"
        )


def _require_same_ids(first: ScoredTable, other: ScoredTable) -> None:
    own, theirs = set(first.ids.tolist()), set(other.ids.tolist())
    if own == theirs:
        return
    parts = [
        f"{len(names)} only in {table.name} ({_listed(names)})"
        for table, names in ((first, own - theirs), (other, theirs - own))
        if names
    ]
    raise UserError(
        f"{other.source}: expected the {first.unit}s of {first.source}, found {' and '.join(parts)}; use --common to compare the "
        f"{len(own & theirs)} that both have"
    )


def _require_same_content(first: ScoredTable, other: ScoredTable) -> None:
    def refuse(
        what: str, differs: npt.NDArray[np.bool_], shown: Callable[[ScoredTable, int], str], remedy: str
    ) -> None:
        rows = np.flatnonzero(differs)
        if len(rows):
            row = int(rows[0])
            raise UserError(
                f"{other.source}: expected the {what} of {first.source}, found another for {len(rows)} {first.unit}s, such as "
                f"{str(first.ids[row])!r} ({shown(first, row)} and {shown(other, row)}); {remedy}"
            )

    same = (first.targets == other.targets) | (np.isnan(first.targets) & np.isnan(other.targets))
    refuse(
        "patient", first.patients != other.patients, lambda t, r: str(t.patients[r]), "use one slide or image table"
    )  # fmt: skip
    refuse(
        "truth",
        ~same.all(axis=1),
        lambda t, r: "/".join(f"{value:g}" for value in t.targets[r]),
        "use one slide or image table",
    )
    if first.folds is not None and other.folds is not None:
        refuse(
            "fold",
            first.folds != other.folds,
            lambda t, r: "" if t.folds is None else str(t.folds[r]),
            "run both with the same table and training.seed, by `inkdot train --folds`",
        )


def _listed(names: Iterable[str]) -> str:
    ordered = sorted(names)
    return ", ".join(ordered[:_MOST_NAMED]) + (" …" if len(ordered) > _MOST_NAMED else "")
