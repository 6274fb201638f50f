"""``model=PATH`` and ``model=ORG/NAME`` are choices like any of ``conf/model``."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.models import LocalModel
from harness.runner.sweep.model_choice import with_models
from harness.runner.sweep.search_path import search_path
from tests.facts import mentions


def written(folder: Path) -> dict[str, dict[str, Any]]:
    return {file.stem: yaml.safe_load(file.read_text()) for file in (folder / "model").glob("*")}


@pytest.mark.parametrize(
    ("given", "described"),
    [
        ("/models/mine", {"kind": "local", "path": "/models/mine"}),
        ("'/models/my model'", {"kind": "local", "path": "/models/my model"}),
        ("/models/ü=(1)#&", {"kind": "local", "path": "/models/ü=(1)#&"}),
        (r"'/models/it\'s'", {"kind": "local", "path": "/models/it's"}),
        ("'/models/a,b'", {"kind": "local", "path": "/models/a,b"}),
        ("/models/1e5", {"kind": "local", "path": "/models/1e5"}),
        ("/models/x.Q4_1.gguf", {"kind": "local", "path": "/models/x.Q4_1.gguf"}),
        ("some/model", {"kind": "hub", "hub_id": "some/model", "revision": "main"}),
        ("some/model-1.5@abc", {"kind": "hub", "hub_id": "some/model-1.5", "revision": "abc"}),
    ],
)
def test_a_path_or_an_id_becomes_a_choice(
    tmp_path: Path, given: str, described: dict[str, str]
) -> None:
    (first,) = with_models([f"model={given}"], tmp_path)
    ((name, content),) = written(tmp_path).items()
    assert first == f"model={name}"
    assert search_path(tmp_path) == [f"hydra.searchpath=['file://{tmp_path}']"]
    assert content.items() >= described.items()


@pytest.mark.parametrize(
    "arguments",
    [
        ["model=local", "engine=auto"],
        ["model=smollm2_135m,r1_distill_qwen_7b"],
        ["model=nonsense"],
        ["modelling=/x"],
        ["~model.path"],
    ],
)
def test_everything_else_stays_as_it_is(tmp_path: Path, arguments: list[str]) -> None:
    assert with_models(arguments, tmp_path) == arguments


def test_several_of_one_name_are_told_apart(tmp_path: Path) -> None:
    given = "model=/a/run,smollm2_135m,/b/run,someone/smollm2_135m,/a/run"
    choices = with_models([given], tmp_path)[0].removeprefix("model=").split(",")
    assert choices[1] == "smollm2_135m"
    assert choices[0] == choices[4]
    assert len(set(choices)) == 4
    paths = {each.get("path") for each in written(tmp_path).values()}
    assert paths == {"/a/run", "/b/run", None}


def test_a_path_with_a_comma_is_one_path(tmp_path: Path) -> None:
    folder = tmp_path / "a,b"
    folder.mkdir()
    with_models([f"model={folder}"], tmp_path / "conf")
    ((_, content),) = written(tmp_path / "conf").items()
    assert content["path"] == str(folder)


def test_quoted_paths_of_a_sweep_are_several(tmp_path: Path) -> None:
    with_models(['model="/a/it\'s","/b/two"'], tmp_path)
    assert {each["path"] for each in written(tmp_path).values()} == {"/a/it's", "/b/two"}


def test_a_folder_that_exists_is_no_model_of_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    adapter = tmp_path / "out" / "mine"
    adapter.mkdir(parents=True)
    (adapter / "adapter_config.json").write_text("{}")
    with_models(["model=out/mine"], tmp_path / "conf")
    ((_, content),) = written(tmp_path / "conf").items()
    assert content.items() >= {"kind": "local", "path": str(adapter)}.items()


def test_many_choices_are_longer_than_a_file_name_may_be(tmp_path: Path) -> None:
    arguments = ["model=" + ",".join(["smollm2_135m"] * 30)]
    assert with_models(arguments, tmp_path) == arguments


def test_fields_that_the_models_file_does_not_list_can_be_set(tmp_path: Path) -> None:
    assert with_models(["model.adapter=/x", "model.nonsense=1"], tmp_path) == [
        "++model.adapter=/x",
        "model.nonsense=1",
    ]


def composed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    from harness.cli.main import main

    assert main(["run", "--cfg", "job", *arguments]) == 0
    return capsys.readouterr().out


def test_the_whole_command_finds_a_path_with_an_apostrophe(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = tmp_path / "it's"
    folder.mkdir()
    job = yaml.safe_load(composed(capsys, f"model={folder}"))
    assert job["model"]["path"] == str(folder)


def test_a_file_in_the_hubs_cache_has_its_links_name(tmp_path: Path) -> None:
    repository = tmp_path / "models--some--model-GGUF"
    blob = repository / "blobs" / "0123456789abcdef"
    file = repository / "snapshots" / "abc" / "mine.Q4_K_M.gguf"
    for each in (blob, file):
        each.parent.mkdir(parents=True)
    blob.touch()
    file.symlink_to(blob)
    assert LocalModel.model_validate({"kind": "local", "path": str(file)}).name == "mine.Q4_K_M"
    folder = LocalModel.model_validate({"kind": "local", "path": str(file.parent)})
    assert folder.name == "model-GGUF"


def test_the_whole_command_composes_them(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    job = yaml.safe_load(composed(capsys, "model=/models/ü=(1)", "model.adapter=/out/lora"))
    assert job["model"]["path"] == "/models/ü=(1)"
    assert job["model"]["adapter"] == "/out/lora"
    job = yaml.safe_load(composed(capsys, "model=some/model", "model.revision=abc"))
    assert (job["model"]["hub_id"], job["model"]["revision"]) == ("some/model", "abc")


def test_a_sweep_plans_each_of_them(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    from harness.cli.main import main

    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps({}))
    given = ",".join(map(str, folders))
    assert main(["run", "-m", "--dry-run", f"model={given}", "protocol=greedy"]) == 2
    for folder in folders:
        assert mentions(caplog.text, f"model.path={folder}: ", "*.safetensors")


# --- any model of the hub, from its cache ------------------------------------------------------


COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository as the hub's library keeps it."""
    from huggingface_hub import constants

    from tests.unit.tiny_model import save_tiny

    cache = tmp_path / "hub"
    repository = cache / "models--some--model"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    save_tiny(repository / "snapshots" / COMMIT)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr("huggingface_hub.file_download.constants.HF_HUB_CACHE", str(cache))
    return cache


@pytest.mark.filterwarnings("ignore")
def test_a_model_of_the_hub_by_its_id(
    capsys: pytest.CaptureFixture[str], cached: Path, tmp_path: Path
) -> None:
    from harness.cli.main import main
    from harness.models import HubModel, resolve
    from harness.runner.preflight import no_network

    arguments = [
        *("engine=transformers", "protocol=greedy", "protocol.chat=false", "offline=true"),
        *("protocol.max_prompt_tokens=1000", "tasks=[math_mini:1]"),
    ]
    fits = main(["run", "--dry-run", "model=some/model", "protocol.max_new_tokens=16", *arguments])
    plan = capsys.readouterr()
    assert fits == 0, plan.err
    assert "some/model@main" in plan.out
    long = main(
        ["run", "--dry-run", "model=some/model", "protocol.max_new_tokens=9000", *arguments]
    )
    assert long == 2
    assert "2048" in capsys.readouterr().err
    with no_network():
        found = resolve(HubModel(kind="hub", hub_id="some/model", name="model", revision="main"))
    assert found.revision == COMMIT
