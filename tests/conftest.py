"""What several tests need: real data, tokenizers, and files that are compared or rewritten."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import peers
from tests.made_tokenizers import write_instruct_tokenizer, write_r1_tokenizer

REPOSITORY = Path(__file__).resolve().parent.parent

# The processes of pytest-xdist say 80; a table is as wide in them as in one process.
os.environ.pop("COLUMNS", None)

Golden = Callable[[Path, str], str]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="rewrite the committed files that tests compare with, instead of comparing",
    )


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """``golden(file, text)`` gives what ``file`` holds, to be compared with ``text``.

    Under ``--update-golden`` it writes ``text`` there first.
    """

    def committed(file: Path, text: str) -> str:
        if request.config.getoption("--update-golden"):
            file.write_bytes(text.encode())
        return file.read_bytes().decode() if file.exists() else ""

    return committed


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with real MATH-500 and the real R1-distill tokenizer."""
    folder = Path(os.environ.get("HARNESS_DATA_DIR", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"needs the shared data (looked in {folder}; HARNESS_DATA_DIR names it)")
    return folder


@pytest.fixture(scope="session")
def index() -> None:
    """A package index that answers."""
    try:
        peers.require_index()
    except peers.NoIndexError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def peer() -> Callable[[str], peers.Peer]:
    """``peer("inspect")`` has the package inspect-ai; a test that asks is marked ``index``."""

    def installed(name: str) -> peers.Peer:
        try:
            return peers.install(name)
        except peers.NoIndexError as error:
            pytest.skip(str(error))

    return installed


@pytest.fixture(scope="session")
def made_r1_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tokenizer that has R1's special tokens and both of its templates."""
    return write_r1_tokenizer(tmp_path_factory.mktemp("r1-tokenizer"))


@pytest.fixture(scope="session")
def instruct_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tokenizer of a model that does not think."""
    return write_instruct_tokenizer(tmp_path_factory.mktemp("instruct-tokenizer"))


@pytest.fixture(scope="session", params=["made", "real"])
def r1_tokenizer(request: pytest.FixtureRequest) -> Path:
    """The folder of R1's tokenizer: the one that is made here, and the real one where it is."""
    if request.param == "made":
        made: Path = request.getfixturevalue("made_r1_tokenizer")
        return made
    real: Path = request.getfixturevalue("shared_data") / "r1-distill-qwen-tokenizer"
    return real
