import csv
import itertools
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from fixtures.painted_tiles import run_context

from inkdot.config import config_from_mapping
from inkdot.errors import UserError
from inkdot.model.network import TileNetwork
from inkdot.training.fit.checkpoint import manual_seed, restore, restore_ema
from inkdot.training.fit.lr_schedule import learning_rate_at
from inkdot.training.fit.objective import TileObjective, TrainingData
from inkdot.training.fit.pretrained import check_start
from inkdot.training.fit.trainer import fit


@pytest.fixture
def data(training_tiles, validation_tiles):
    return TrainingData(training_tiles, validation_tiles, "selftest_", "run-1")


def changed(config, **training):
    values = config.model_dump(mode="json")
    values["training"] |= training
    return config_from_mapping(values)


def fit_tiles(network, data, context):
    return fit(network, TileObjective(data, context.config, context.fabric), context)


def trained(folder, data, config, spec, console):
    manual_seed(config.training.seed, 0)
    network = TileNetwork(spec)
    state = fit_tiles(network, data, run_context(folder, config, console))
    return network, state


def same_bytes(a, b):
    return all(
        torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    )


def test_painted_classes_are_learned_and_metrics_are_written_per_epoch(
    tmp_path, data, tiny_config, tiny_spec, quiet
):
    config = changed(tiny_config, epochs=8)
    network, state = trained(tmp_path, data, config, tiny_spec, quiet)
    rows = list(csv.DictReader((tmp_path / "metrics.csv").read_text(encoding="utf-8").splitlines()))
    assert [row["epoch"] for row in rows] == [str(i + 1) for i in range(8)]
    last = rows[state.best_epoch - 1]
    assert float(last["selftest_auc.malignancy.malignant"]) > 0.95
    assert float(last["selftest_auc.malignancy.malignant.low"]) <= float(
        last["selftest_auc.malignancy.malignant"]
    )
    assert float(rows[-1]["train_loss"]) < float(rows[0]["train_loss"])
    assert {"train_loss.malignancy", "train_loss.morphology", "selftest_loss.morphology"} <= set(rows[0])
    for name in ("selftest_patient_auc", "selftest_patient_average_precision"):
        low, value, high = (float(last[f"{name}{end}"]) for end in (".low", "", ".high"))
        assert 0 <= low <= value <= high <= 1
    assert float(last["selftest_patient_auc"]) > 0.95
    assert next(network.parameters()).device.type == "cpu"


@pytest.mark.slow
def test_twice_gives_the_same_bytes(tmp_path, data, tiny_config, tiny_spec, quiet):
    first, _ = trained(tmp_path / "a", data, tiny_config, tiny_spec, quiet)
    second, _ = trained(tmp_path / "b", data, tiny_config, tiny_spec, quiet)
    assert same_bytes(first, second)
    for name in ("metrics.csv", "checkpoints/best.safetensors", "checkpoints/last.safetensors"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    other, _ = trained(tmp_path / "c", data, changed(tiny_config, seed=1), tiny_spec, quiet)
    assert not same_bytes(first, other)


class PowerCutError(Exception):
    """Stands for the power going off."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("killed_at_write", "monitor"),
    [(1, "calibrated_loss"), (2, "calibrated_loss"), (4, "calibrated_loss"), (3, "patient_auc")],
)
def test_stopped_between_any_two_writes_it_goes_on_to_the_same_bytes(
    tmp_path, data, tiny_config, tiny_spec, quiet, monkeypatch, killed_at_write, monitor
):
    config = changed(tiny_config, checkpoint="best", monitor=monitor)
    whole, _ = trained(tmp_path / "whole", data, config, tiny_spec, quiet)
    from inkdot.training.fit import trainer as loop

    writes = 0
    write = loop.write_checkpoint

    def interrupted(*arguments):
        nonlocal writes
        writes += 1
        if writes == killed_at_write:
            raise PowerCutError
        write(*arguments)

    monkeypatch.setattr(loop, "write_checkpoint", interrupted)
    with pytest.raises(PowerCutError):
        trained(tmp_path / "cut", data, config, tiny_spec, quiet)
    monkeypatch.undo()
    resumed, _ = trained(tmp_path / "cut", data, config, tiny_spec, quiet)
    assert same_bytes(whole, resumed)
    for name in ("metrics.csv", "checkpoints/best.safetensors", "checkpoints/last.safetensors"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "cut" / name).read_bytes()


@pytest.mark.slow
def test_a_finished_run_is_not_run_again_but_another_one_is(tmp_path, data, tiny_config, tiny_spec, quiet):
    first, _ = trained(tmp_path, data, tiny_config, tiny_spec, quiet)
    again, state = trained(tmp_path, data, tiny_config, tiny_spec, quiet)
    assert same_bytes(first, again)
    assert state.epoch == 3
    assert "resuming after epoch 3" in quiet.file.getvalue()
    other = TrainingData(data.training, data.validation, "selftest_", "run-2")
    before = (tmp_path / "checkpoints" / "last.safetensors").read_bytes()
    trained(tmp_path, other, tiny_config, tiny_spec, quiet)
    assert (tmp_path / "checkpoints" / "last.safetensors").read_bytes() != before


@pytest.mark.slow
def test_a_damaged_checkpoint_starts_afresh(tmp_path, data, tiny_config, tiny_spec, quiet):
    first, _ = trained(tmp_path, data, tiny_config, tiny_spec, quiet)
    last = tmp_path / "checkpoints" / "last.safetensors"
    last.write_bytes(last.read_bytes()[:100])
    again, _ = trained(tmp_path, data, tiny_config, tiny_spec, quiet)
    assert same_bytes(first, again)


def test_unknown_labels_do_not_change_their_head(tmp_path, data, tiny_config, tiny_spec, quiet):
    # Without a known morphology the head's own weights move by weight decay alone, and no number turns NaN.
    blank = data.training.targets.copy()
    blank[:, 2:] = np.nan
    training = type(data.training)(
        data.training.arrays,
        data.training.array_of_row,
        data.training.index_in_array,
        blank,
        data.training.patients,
        data.training.slides,
    )
    config = changed(tiny_config, weight_decay=0.0, epochs=1)
    manual_seed(0, 0)
    start = {name: t.clone() for name, t in TileNetwork(tiny_spec).state_dict().items()}
    network, _ = trained(tmp_path, TrainingData(training, data.validation, "", "x"), config, tiny_spec, quiet)
    for name, tensor in network.state_dict().items():
        assert torch.isfinite(tensor).all()
        if name.startswith("heads.morphology"):
            assert torch.equal(tensor, start[name])
    assert not torch.equal(network.state_dict()["heads.malignancy.weight"], start["heads.malignancy.weight"])


def test_a_loss_that_is_not_finite_is_an_error_of_one_line(tmp_path, data, tiny_config, tiny_spec, quiet):
    network = TileNetwork(tiny_spec)
    torch.nn.init.constant_(network.heads["malignancy"].bias, float("inf"))
    with pytest.raises(UserError, match=r"finite loss.*learning_rate"):
        fit_tiles(network, data, run_context(tmp_path, tiny_config, quiet))
    assert not (tmp_path / "checkpoints").exists()


def test_a_missing_accelerator_is_a_user_error(tmp_path, data, tiny_config, tiny_spec, quiet):
    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    with pytest.raises(UserError, match=r"training\.accelerator 'cuda'"):
        trained(tmp_path, data, changed(tiny_config, accelerator="cuda"), tiny_spec, quiet)


def test_bf16_trains_on_a_cpu_too(tmp_path, data, tiny_config, tiny_spec, quiet):
    network, _ = trained(
        tmp_path, data, changed(tiny_config, precision="bf16-mixed", epochs=1), tiny_spec, quiet
    )
    assert all(torch.isfinite(t).all() for t in network.state_dict().values())


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on a CPU")
def test_a_compiled_network_has_the_same_losses_and_parameter_names(
    tmp_path, data, tiny_config, tiny_spec, quiet
):
    spec = replace(tiny_spec, dropout=0.0)  # the compiler draws other random numbers
    losses = {}
    for compiled in (False, True):
        config = changed(tiny_config, epochs=1, compile=compiled, learning_rate=1e-4)
        network, state = trained(tmp_path / str(compiled), data, config, spec, quiet)
        losses[compiled] = state.history[0]["train_loss"]
        assert list(network.state_dict()) == list(TileNetwork(spec).state_dict())
    assert losses[True] == pytest.approx(losses[False], rel=2e-3)


@pytest.mark.slow
def test_a_missing_compiler_is_a_user_error_naming_the_key(
    tmp_path, data, tiny_config, tiny_spec, quiet, monkeypatch
):
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr("torch._inductor.config.cpp.cxx", ("no-such-compiler",))
    torch.compiler.reset()
    with pytest.raises(UserError, match=r"training\.compile: .* set it to false"):
        trained(tmp_path / "c", data, changed(tiny_config, epochs=1, compile=True), tiny_spec, quiet)


def test_the_learning_rate_rises_then_falls_to_nearly_nothing():
    rates = [learning_rate_at(step, 100, 1.0, 0.1) for step in range(100)]
    assert rates[:10] == pytest.approx([(i + 1) / 10 for i in range(10)])
    assert all(a > b for a, b in itertools.pairwise(rates[9:]))
    assert rates[-1] == pytest.approx(0.5 * (1 + np.cos(np.pi * 90 / 91)))
    assert 0 < rates[-1] < 0.001


def test_the_curves_are_written_beside_the_table(tmp_path, data, tiny_config, tiny_spec, quiet):
    trained(tmp_path, data, changed(tiny_config, epochs=2), tiny_spec, quiet)
    assert {path.name for path in tmp_path.iterdir()} == {
        "checkpoints",
        "curves.svg",
        "metrics.csv",
    }


def test_a_step_taken_in_parts_is_the_same_step(tmp_path, data, tiny_config, tiny_spec, quiet):
    # A network without batch normalisation, which alone looks at more than one tile at a time.
    spec = replace(tiny_spec, backbone="test_convnext", dropout=0.0)
    config = changed(tiny_config, epochs=1, batch_size=15)
    whole, first = trained(tmp_path / "whole", data, config, spec, quiet)
    parts, second = trained(tmp_path / "parts", data, changed(config, gradient_accumulation=4), spec, quiet)
    assert first.history[0]["train_loss"] == pytest.approx(second.history[0]["train_loss"], rel=1e-5)
    assert first.history[0]["train_loss.morphology"] > 0
    for a, b in zip(whole.state_dict().values(), parts.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)
    start = TileNetwork(spec).state_dict()["heads.malignancy.weight"]
    assert not torch.allclose(start, whole.state_dict()["heads.malignancy.weight"], atol=1e-3)


def test_a_gradient_is_clipped_where_asked(tmp_path, data, tiny_config, tiny_spec, quiet):
    manual_seed(0, 0)
    start = {name: tensor.clone() for name, tensor in TileNetwork(tiny_spec).named_parameters()}
    # So short that Adam's epsilon swallows it: without weight decay, nothing may move.
    config = changed(tiny_config, epochs=1, gradient_clip=1e-14, weight_decay=0.0)
    network, _ = trained(tmp_path, data, config, tiny_spec, quiet)
    for name, parameter in network.named_parameters():
        torch.testing.assert_close(parameter, start[name], rtol=0, atol=1e-4)


@pytest.mark.slow
def test_early_stopping_ends_the_run_and_a_rerun_does_not_resume_it(
    tmp_path, data, tiny_config, tiny_spec, quiet
):
    # A learning rate that is far too high: no later epoch is better than the first good one.
    config = changed(
        tiny_config,
        epochs=12,
        early_stopping_patience=1,
        checkpoint="best",
        learning_rate=3.0,
        warmup_fraction=0.0,
    )
    _, state = trained(tmp_path, data, config, tiny_spec, quiet)
    assert state.epoch == state.best_epoch + 1 < 12
    assert "no better since epoch" in quiet.file.getvalue()
    before = (tmp_path / "checkpoints" / "last.safetensors").read_bytes()
    _, again = trained(tmp_path, data, config, tiny_spec, quiet)
    assert again == state
    assert (tmp_path / "checkpoints" / "last.safetensors").read_bytes() == before


class CrowdedNetwork(TileNetwork):
    """Asks for more memory than there is from a number of tiles on."""

    def forward(self, tiles):
        if len(tiles) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
        return super().forward(tiles)


def test_out_of_memory_names_settings_that_help(tmp_path, data, tiny_config, tiny_spec, quiet):
    with pytest.raises(
        UserError, match=r"16 tiles of 32 px.*accumulation to 2 .*or training\.batch_size to 8"
    ):
        fit_tiles(CrowdedNetwork(tiny_spec), data, run_context(tmp_path, tiny_config, quiet))
    config = changed(tiny_config, gradient_accumulation=4, epochs=1)
    state = fit_tiles(CrowdedNetwork(tiny_spec), data, run_context(tmp_path, config, quiet))
    assert state.epoch == 1


@pytest.mark.slow
def test_checkpoint_last_or_best_decides_the_weights(tmp_path, data, tiny_config, tiny_spec, quiet):
    # Validation tiles with swapped labels: validation metrics get worse with training.
    validation = replace(data.validation, targets=data.validation.targets[:, [1, 0, 3, 2]])
    wrong = replace(data, validation=validation)
    settings = {"epochs": 4, "ema_decay": 0.0}
    best, state = trained(
        tmp_path / "best", wrong, changed(tiny_config, checkpoint="best", **settings), tiny_spec, quiet
    )
    last, _ = trained(
        tmp_path / "last", wrong, changed(tiny_config, checkpoint="last", **settings), tiny_spec, quiet
    )
    assert state.best_epoch < 4
    assert not same_bytes(best, last)
    # Without EMA, the last weights are those after the last step.
    other = TileNetwork(tiny_spec)
    restore(tmp_path / "last" / "checkpoints" / "last.safetensors", other)
    assert same_bytes(last, other)
    restore(tmp_path / "last" / "checkpoints" / "best.safetensors", other)
    assert same_bytes(best, other)


@pytest.mark.slow
@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_frozen_backbone_keeps_weights_and_batch_statistics_until_it_is_trained(
    tmp_path, data, tiny_config, tiny_spec, quiet, accumulate
):
    def backbone(epochs, freeze):
        config = changed(
            tiny_config, epochs=epochs, freeze_epochs=freeze, gradient_accumulation=accumulate, ema_decay=0.0
        )
        network, _ = trained(tmp_path / f"{epochs}-{freeze}", data, config, tiny_spec, quiet)
        heads = torch.cat([parameter.flatten() for parameter in network.heads.parameters()])
        return {name: tensor.clone() for name, tensor in network.backbone.state_dict().items()}, heads

    manual_seed(tiny_config.training.seed, 0)
    start = TileNetwork(tiny_spec)
    before = start.backbone.state_dict()
    assert any("running_mean" in name for name in before)
    held, heads = backbone(2, 2)
    assert all(torch.equal(tensor, held[name]) for name, tensor in before.items())
    first = torch.cat([parameter.flatten() for parameter in start.heads.parameters()])
    assert not torch.equal(heads, first)
    moved, _ = backbone(3, 2)
    changed_names = {name for name, tensor in before.items() if not torch.equal(tensor, moved[name])}
    assert any("running_mean" in name for name in changed_names)
    assert any(name.endswith("weight") for name in changed_names)


def test_a_backbone_with_random_weights_cannot_be_frozen(tiny_config):
    with pytest.raises(UserError, match=r"freeze_epochs: expected 0 with model\.weights: scratch, found 2"):
        check_start(changed(tiny_config, freeze_epochs=2))


class FixedValidation(TileObjective):
    """Trains as usual, but the validation metrics of each epoch are given."""

    def __init__(self, data, context, metrics):
        super().__init__(data, context.config, context.fabric)
        self._metrics = metrics

    def validate(self, ema, device):
        loss, auc = self._metrics[self.sampler.epoch]
        return {"calibrated_loss": loss, "patient_auc": auc, "patient_auc.low": 0.0, "patient_auc.high": 1.0}


def trained_with_metrics(folder, data, config, spec, console, metrics):
    manual_seed(config.training.seed, 0)
    network = TileNetwork(spec)
    context = run_context(folder, config, console)
    state = fit(network, FixedValidation(data, context, metrics), context)
    return network, state


@pytest.mark.parametrize(("monitor", "best"), [("calibrated_loss", 3), ("patient_auc", 4)])
def test_the_best_epoch_is_chosen_by_the_monitored_metric(
    tmp_path, data, tiny_config, tiny_spec, quiet, monitor, best
):
    metrics = [(0.5, 0.7), (0.4, 0.9), (0.3, 0.8), (0.35, 0.9), (0.36, 0.9)]
    config = changed(tiny_config, epochs=5, checkpoint="best", monitor=monitor)
    network, state = trained_with_metrics(tmp_path, data, config, tiny_spec, quiet, metrics)
    assert state.best_epoch == best
    kept = TileNetwork(tiny_spec)
    restore(tmp_path / "checkpoints" / "best.safetensors", kept)
    assert same_bytes(network, kept)
    last = TileNetwork(tiny_spec)
    restore_ema(tmp_path / "checkpoints" / "last.safetensors", last)
    assert not same_bytes(network, last)
    assert f"Dashed: epoch {best}, the best." in (tmp_path / "curves.svg").read_text(encoding="utf-8")


@pytest.mark.parametrize(("monitor", "epochs"), [("calibrated_loss", 5), ("patient_auc", 3)])
def test_early_stopping_follows_the_monitored_metric(
    tmp_path, data, tiny_config, tiny_spec, quiet, monitor, epochs
):
    metrics = [(0.5, 0.9), (0.4, 0.8), (0.3, 0.7), (0.2, 0.6), (0.1, 0.5)]
    config = changed(tiny_config, epochs=5, checkpoint="best", early_stopping_patience=2, monitor=monitor)
    _, state = trained_with_metrics(tmp_path, data, config, tiny_spec, quiet, metrics)
    assert state.epoch == epochs


def test_patients_of_one_class_cannot_choose_the_best_epoch(tmp_path, data, tiny_config, tiny_spec, quiet):
    alone = replace(data, validation=replace(data.validation, patients=np.full(len(data.validation), "p")))
    config = changed(tiny_config, epochs=1, checkpoint="best", monitor="patient_auc")
    with pytest.raises(UserError, match=r"training\.monitor patient_auc: .* 1 positive and 0 negative"):
        trained(tmp_path, alone, config, tiny_spec, quiet)
    assert not (tmp_path / "checkpoints").exists()
    # The last epoch is kept whatever is watched; there is no metric of patients then.
    _, state = trained(tmp_path, alone, changed(config, checkpoint="last"), tiny_spec, quiet)
    assert state.history[0]["selftest_patient_auc"] is None
    (row,) = csv.DictReader((tmp_path / "metrics.csv").read_text(encoding="utf-8").splitlines())
    assert row["selftest_patient_auc"] == row["selftest_patient_average_precision.low"] == ""


def test_checkpoints_of_another_run_are_replaced_with_a_message(
    tmp_path, data, tiny_config, tiny_spec, quiet
):
    trained(tmp_path, data, changed(tiny_config, epochs=1), tiny_spec, quiet)
    assert "starting anew" not in quiet.file.getvalue()
    other = replace(data, identity="run-2")
    _, state = trained(tmp_path, other, changed(tiny_config, epochs=1), tiny_spec, quiet)
    assert state.identity == "run-2"
    assert "starting anew" in quiet.file.getvalue()


def test_a_batch_too_small_for_batch_norm_is_a_user_error(tmp_path, data, tiny_config, tiny_spec, quiet):
    # Of tiles of 32 px this network's last feature maps are one pixel: a tile has one value per channel.
    config = changed(tiny_config, batch_size=16, gradient_accumulation=16)
    spec = replace(tiny_spec, backbone="mobilenetv3_small_050")
    with pytest.raises(
        UserError, match=r"two tiles or more.*one of 32 px.*batch_size \(16\).*accumulation \(16\)"
    ):
        trained(tmp_path, data, config, spec, quiet)
