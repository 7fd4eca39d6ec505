"""Configs as people write them, right and wrong."""

import itertools
import re
from pathlib import Path

import pytest

from inkdot.config import Config, commented_yaml, config_from_mapping, default_config, load_config
from inkdot.errors import ConfigError
from inkdot.labels import DEFAULT_HEADS
from inkdot.records import Preparation


def load(folder: Path, text: str | bytes) -> Config:
    path = folder / "c.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    return load_config(path)


PREPARATIONS: tuple[Preparation, ...] = ("thinprep", "cytospin", "section", "smear")


@pytest.mark.parametrize("preparation", PREPARATIONS)
def test_the_commented_config_reads_back_unchanged(tmp_path: Path, preparation: Preparation) -> None:
    config = default_config(preparation)
    assert load(tmp_path, commented_yaml(config)) == config


def test_a_config_with_everything_changed_reads_back_unchanged(tmp_path: Path) -> None:
    data: dict[str, object] = {
        "preparation": "smear",
        "tiling": {"side_px": 64, "mpp": 1e-1, "stride_px": 8},
        "heads": [
            {"name": "lesion", "classes": ["NL", "no", "1e3", "ja, äh: \"x\" #"], "flag_class": "no"},
            {
                "name": "grade",
                "classes": ["low", "high"],
                "labels": {"low": {"low": 1.0}, "high": {"high": 1.0}, "yes": {"low": 0.5, "high": 0.5}, "null": {}},
                "condition": {"lesion": "NL"},
            },
        ],
        "model": {"weights": "C:\\weights\\a: b.safetensors"},
        "training": {"head_weights": {"grade": 0.5}, "learning_rate": 1e-5},
        "images": {"heads": {"lesion": "label of it"}, "mpp_of_all": "unknown", "crop_px": 288},
    }  # fmt: skip
    config = config_from_mapping(data)
    assert load(tmp_path, commented_yaml(config)) == config


def test_every_key_is_explained() -> None:
    lines = commented_yaml(default_config()).splitlines()
    seen: set[str] = set()
    for before, line in itertools.pairwise(lines):
        key = line.strip().removeprefix("- ").split(":")[0]
        if (
            line.startswith("  ")
            and not line.startswith("      ")
            and not line.strip().startswith("#")
            and key not in seen
        ):
            seen.add(key)
            explained = before.strip().startswith("#") or key in {
                "name",
                "classes",
                "labels",
                "calls",
                "condition",
            }
            assert explained, line
    assert {"side_px", "backbone", "top_n", "group"} <= seen


@pytest.mark.parametrize("preparation", ["thinprep", "section"])
def test_the_configs_of_the_repository_are_what_init_writes(
    repository: Path, preparation: Preparation
) -> None:
    text = (repository / "configs" / f"{preparation}.yaml").read_text(encoding="utf-8")
    assert text == commented_yaml(default_config(preparation)), "run `inkdot init` again for this file"


def test_an_empty_file_is_the_default(tmp_path: Path) -> None:
    for text in ("", "# nothing\n", "\ufeff"):
        assert load(tmp_path, text) == default_config("thinprep")


def test_keys_that_are_not_written_follow_the_preparation() -> None:
    config = config_from_mapping({"preparation": "section", "tiling": {"side_px": 512}})
    section = default_config("section").tiling
    assert config.tiling == section.model_copy(update={"side_px": 512})
    assert (section.side_px, section.mpp) == (256, 0.5)
    cytology = config_from_mapping({}).tiling
    assert (cytology.side_px, cytology.mpp) == (256, 0.25)


def test_default_heads_survive_the_config() -> None:
    assert default_config().head_records == DEFAULT_HEADS


def test_labels_are_the_classes_where_not_given() -> None:
    data: dict[str, object] = {"heads": [{"name": "x", "classes": ["a", "b"], "flag_class": "b"}]}
    (head,) = config_from_mapping(data).head_records
    assert head.labels == {"a": {"a": 1.0}, "b": {"b": 1.0}}


def test_numbers_with_exponents_are_numbers(tmp_path: Path) -> None:
    for text in ("1e-3", "1.0e-3", "0.001", "1E-3"):
        config = load(tmp_path, f"training: {{learning_rate: {text}}}\n")
        assert config.training.learning_rate == pytest.approx(1e-3)


HEAD = "heads: [{name: x, classes: [a, b], flag_class: b, labels: {%s}}]"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tilling: {}", r"tilling: unknown key; did you mean 'tiling'\?"),
        ("tiling: {sidepx: 64}", r"tiling\.sidepx: unknown key; did you mean 'side_px'\?"),
        ("training: {zzz: 1}", r"training\.zzz: unknown key; remove it or correct it"),
        ("tiling: {side_px: 64.5}", r"tiling\.side_px: expected a valid integer, found 64\.5"),
        ("tiling: {side_px: '64'}", r"tiling\.side_px: expected a valid integer, found '64'"),
        ("tiling: {mpp: 0,25}", r"tiling"),
        ("tiling: {mpp: .nan}", r"tiling\.mpp: expected a finite number"),
        ("tiling: {mpp: 0.01}", r"tiling\.mpp: expected greater than or equal to 0\.08, found 0\.01"),
        ("tiling: {side_px: 64, stride_px: 65}", r"tiling: expected stride_px of at most side_px \(64\), found 65"),
        ("tiling: {side_px: 64}", r"expected stride_px of at most side_px \(64\), found 128"),
        ("tiling: 5", r"tiling: expected keys and values, found 5"),
        ("augmentation: {geometry: 1}", r"augmentation\.geometry: expected a valid boolean, found 1"),
        ("preparation: liquid", r"preparation: expected 'thinprep', .*, found 'liquid'"),
        ("schema_version: 2", r"schema_version: expected 1, found 2"),
        ("heads: []", r"heads: List should have at least 1 item"),
        ("heads: [{classes: [a, b]}]", r"heads\.0\.name: expected a value, found none; add it"),
        ("heads: [{name: Bad Name, classes: [a, b]}]", r"heads\.0\.name"),
        (HEAD % "a: {c: 1.0}", r"heads\.0: head 'x', label 'a': unknown class 'c'; classes are \['a', 'b'\]"),
        (HEAD % "a: {a: 0.5}", r"label 'a': weights must sum to 1, found 0\.5"),
        (HEAD % "a: {a: 1.5, b: -0.5}", r"label 'a': weights must be 0 to 1"),
        ("heads: [{name: x, classes: [a, a], flag_class: a}]", r"expected distinct classes"),
        ("heads: [{name: x, classes: [a, b], flag_class: c}]", r"unknown class 'c'"),
        ("heads: [{name: x, classes: [a, b]}]", r"expected exactly one head with a flag_class"),
        ("heads: [{name: x, classes: [a, b], flag_class: a, condition: {y: z}}]", r"condition y: z names no class"),
        ("training: {head_weights: {x: 1.0}}", r"training\.head_weights: unknown head 'x'"),
        ("images: {heads: {x: label}}", r"images\.heads: unknown head 'x'"),
        ("images: {mpp_of_all: 0.0}", r"images\.mpp_of_all"),
        (
            "images: {mpp_of_all: unknown}\naugmentation: {blur_um: 0.5}",
            r"augmentation\.blur_um: expected null where images\.mpp_of_all is unknown, found 0\.5; set it to null",
        ),
        ("tiling: {side_px: 64\n", r"line 2: expected YAML, found an error"),
        ("seed: 1\nseed: 2\n", r"line 2: .*key 'seed' is given twice"),
        ("tiling: {mpp: 0.25, mpp: 0.5}", r"key 'mpp' is given twice"),
        ("- a\n- b\n", r"expected keys and values such as `name: value`, found \['a', 'b'\]"),
        ("just words", r"found 'just words'"),
        ("1: 2", r"expected keys and values"),
        ("!!python/object/apply:os.system ['true']", r"expected YAML, found an error: could not determine a constructor"),
    ],
)  # fmt: skip
def test_a_wrong_config_is_one_line_that_names_the_key(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        load(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path / 'c.yaml'}: ")
    assert "\n" not in str(caught.value)


def test_all_mistakes_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"tiling\.mpp: .*; training\.epochs: .*; zzz: unknown key"):
        load(tmp_path, "tiling: {mpp: x}\ntraining: {epochs: 0}\nzzz: 1\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "training: {watch: calibrated_loss}",
            "training.watch was renamed to training.monitor; use the new name",
        ),
        (
            "training: {slide_labels: {sure_above: [0.9]}, keep: best}",
            "3 names have changed: training.slide_labels -> training.mil, training.slide_labels.sure_above -> "
            "training.mil.pseudo_label_quantile, training.keep -> training.checkpoint; use the new names",
        ),
        (
            "training: {mil: {sure_above: [0.9]}}",
            "training.mil.sure_above was renamed to training.mil.pseudo_label_quantile; use the new name",
        ),
        (
            "training: {mil: {start: answers}}",
            "training.mil.start: answers was renamed to training.mil.start: pseudo-labels; use the new name",
        ),
        (
            "training: {slide_labels: {start: self-supervised}}",
            "2 names have changed: training.slide_labels -> training.mil, training.slide_labels.start: self-supervised -> "
            "(removed); use the new names",
        ),
        (
            "training: {mil: {self_supervised_epochs: 3}}",
            "training.mil.self_supervised_epochs was removed; delete it",
        ),
        (
            "heads: [{name: x, answers: {}}, {name: y, answers: {}}]",
            "heads[].answers was renamed to heads[].labels; use the new name",
        ),
    ],
)
def test_a_key_of_an_earlier_version_is_named_with_its_new_name(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    assert str(caught.value) == f"{tmp_path / 'c.yaml'}: {message}"


@pytest.mark.parametrize("name", ["thinprep", "section", "demo", "cervical_pictures"])
def test_a_config_of_the_last_version_works_once_the_listed_names_are_changed(
    tmp_path: Path, name: str
) -> None:
    text = (Path(__file__).parent / "data" / f"earlier_{name}.yaml").read_text(encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    assert "\n" not in str(caught.value)
    (listed,) = re.findall(r"names have changed: (.*); use|: (\S+ was renamed to \S+);", str(caught.value))
    for rename in (listed[0] or listed[1].replace(" was renamed to ", " -> ")).split(", "):
        old, new = (path.split(".")[-1] for path in rename.split(" -> "))
        if new == "(removed)":
            text = re.sub(rf"^.*\b{old}:.*\n", "", text, flags=re.MULTILINE)
        else:
            text = re.sub(rf"\b{old}(?={'$' if ': ' in old else ':'})", new, text, flags=re.MULTILINE)
    config = load(tmp_path, text)
    if name in ("thinprep", "section"):
        # The file states what was the default then.
        tiling = config.tiling.model_copy(update={"lone_nucleus_um": 5.0, "max_tiles": 20_000})
        assert (config.tiling.lone_nucleus_um, config.tiling.max_tiles) == (7.2, 4000)
        assert config.training.learning_rate == pytest.approx(1e-3)
        training = config.training.model_copy(update={"learning_rate": None})
        assert config.model_copy(update={"tiling": tiling, "training": training}) == default_config(name)


def test_other_encodings_and_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="found another encoding; save it as UTF-8"):
        load(tmp_path, "preparation: thinprep # für".encode("latin-1"))
    with pytest.raises(
        ConfigError, match=r"found nothing there; `inkdot init --out .*gone\.yaml` writes one"
    ):
        load_config(tmp_path / "gone.yaml")
    with pytest.raises(ConfigError, match="expected a config file that can be read"):
        load_config(tmp_path)


def test_the_examples_of_the_document_are_valid(repository: Path, tmp_path: Path) -> None:
    text = (repository / "docs" / "how-to" / "prepare-tables.md").read_text(encoding="utf-8")
    examples = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert examples
    configs = [load(tmp_path, example) for example in examples]
    assert any(config.images.mpp_of_all == "unknown" for config in configs)
    assert any(config.annotations.classes for config in configs)


def test_a_head_to_balance_by_must_exist() -> None:
    assert config_from_mapping({"training": {"balance_by": "morphology"}}).training.balance_by == "morphology"
    with pytest.raises(ConfigError, match=r"training\.balance_by: unknown head 'grade'; heads are"):
        config_from_mapping({"training": {"balance_by": "grade"}})


def test_the_config_of_the_real_images_asks_for_what_the_page_says(repository: Path) -> None:
    config = load_config(repository / "configs" / "cervical_images.yaml")
    assert (config.images.group, config.images.crop_px, config.training.balance_by) == (
        "original_image",
        288,
        "grade",
    )


def test_stopping_early_asks_for_the_best_epoch() -> None:
    assert (
        config_from_mapping(
            {"training": {"early_stopping_patience": 3, "checkpoint": "best"}}
        ).training.early_stopping_patience
        == 3
    )
    with pytest.raises(
        ConfigError, match=r"training\.early_stopping_patience: expected null, or training\.checkpoint: best"
    ):
        config_from_mapping({"training": {"early_stopping_patience": 3}})


@pytest.mark.parametrize("weight", [-1.0, float("inf"), float("nan")])
def test_a_weight_of_a_head_below_nothing_or_without_end_is_refused(weight):
    with pytest.raises(ConfigError, match=r"training\.head_weights"):
        config_from_mapping({"training": {"head_weights": {"malignancy": weight}}})


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "a0: &a0 [x]\n"
            + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)),
            "aliases of aliases",
        ),
        ("tiling: &a\n  b: *a\n", "aliases of aliases"),
        ("[" * 5000, "nested too deeply"),
        ("seed: " + "9" * 5000, "Exceeds the limit"),
    ],
)
@pytest.mark.timeout(20)
def test_yaml_that_grows_without_end_is_one_line(tmp_path: Path, text: str, found: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=found) as error:
        load_config(path)
    assert "\n" not in str(error.value)
