"""Members of an ensemble: whole model folders inside of a model folder, named and bound by hash in its ``model.json``."""

from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from inkdot.errors import StorageError, UserError
from inkdot.storage.hashing import file_sha256, json_sha256
from inkdot.storage.layout import ModelLayout


class Member(BaseModel):
    """One model of an ensemble, in a folder ``members/<number>``.

    Attributes:
        model_sha256: Hash of its ``model.json``, which contains that of its weights.
        weights_sha256: Hash of its weights.
        temperatures: Temperature that divides each head's logits, by head name.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    model_sha256: str
    weights_sha256: str
    temperatures: dict[str, float]


def members_sha256(members: Sequence[Member]) -> str:
    """One hash of all members' weights, in their order."""
    return json_sha256([member.weights_sha256 for member in members])


def check_members(folder: Path, members: Sequence[Member], check: Callable[[Path], object]) -> None:
    """Check that the members' folders hold the models that the ensemble names.

    Args:
        folder: The model folder.
        members: As in its ``model.json``.
        check: Reads a model folder, and raises where its own files do not belong together.

    Raises:
        StorageError: A member is missing, damaged or another model.
    """
    for index, member in enumerate(members):
        own = ModelLayout(folder).member(index)
        if not ModelLayout(own).description.is_file():
            raise StorageError(
                f"{own}: expected a member of the ensemble, found no {ModelLayout(own).description.name}; copy the whole model "
                "folder again"
            )
        check(own)
        if file_sha256(ModelLayout(own).description) != member.model_sha256:
            raise StorageError(
                f"{own}: expected the member that {ModelLayout(folder).description} names, found another model; copy the whole "
                "model folder again"
            )


def cost_lines(members: Sequence[Member]) -> list[str]:
    """What an ensemble costs, for the terminal; nothing for one network."""
    if not members:
        return []
    return [
        f"Ensemble of {len(members)} models: prediction takes about {len(members)} times as long as with one."
    ]


def single_model_only(folder: Path, members: Sequence[Member], what: str) -> None:
    """Refuse an ensemble where one network is needed.

    Args:
        folder: The model folder.
        members: As in its ``model.json``; empty for a single model.
        what: What cannot be done with an ensemble, as the start of a sentence.

    Raises:
        UserError: It is an ensemble.
    """
    if members:
        raise UserError(
            f"{folder}: {what} takes one network, found an ensemble of {len(members)}; give one of its members, such as "
            f"{ModelLayout(folder).member(0)}"
        )
