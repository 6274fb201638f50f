"""Energy by the machine's own counters: NVML's of each GPU, RAPL's of each processor package.

Nothing is estimated from a rated power. Where a counter cannot be read the energy is None, and its
source says why.
"""

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from harness.machine import gpus

log = logging.getLogger(__name__)

POWERCAP = Path("/sys/class/powercap")
LOOK_EVERY_S = 30.0
"""RAPL's counters of some processors wrap around in four minutes of full load."""


_NONE = "none: "


class Energy(NamedTuple):
    """The energy used, or why it is unknown."""

    joules: float | None
    source: str
    """The counters, ``NVML, 1 GPU``; where ``joules`` is None, why there is no figure."""

    @classmethod
    def recorded(cls, joules: float | None, text: str | None) -> Self:
        """The record of a session's two fields; ``text`` is the format of ``described``."""
        return cls(joules, (text or "it was not recorded").removeprefix(_NONE))

    @property
    def described(self) -> str:
        """The source as one text, for files and tables: ``NVML, 1 GPU`` or ``none: why``."""
        return self.source if self.joules is not None else f"{_NONE}{self.source}"


NOT_MEASURED = Energy(None, "it was not measured")


class EnergyMeter:
    """Counts what the devices use between entering and leaving. It never raises.

    A processor's counters are its whole packages': scoring that runs alongside is in them, and
    whatever else the machine does.
    """

    def __init__(
        self, device: str, powercap: Path = POWERCAP, *, devices: int | None = None
    ) -> None:
        """Names what to count.

        Args:
            device: ``cuda``: the run's GPUs, and the processors' packages where those are
                readable; ``cpu``: the packages. For any other nothing is known.
            powercap: Where Linux shows RAPL.
            devices: How many of the visible GPUs the run uses, the first ones; None: all.
        """
        self._devices = devices
        self._device = device
        self._powercap = powercap
        self._counters: list[_Counter] = []
        self._resources = contextlib.ExitStack()
        self._sources: list[str] = []
        self._failure: str | None = "not started"
        self._joules = 0.0
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def energy(self) -> Energy:
        """Energy since the start; final once the meter's context has ended."""
        if self._failure is not None:
            return Energy(None, self._failure)
        return Energy(self._joules, " + ".join(self._sources))

    def __enter__(self) -> Self:
        """Reads the counters for the first time."""
        self._failure = None
        with self._recorded():
            match self._device:
                case "cuda":
                    self._add_gpus()
                    with contextlib.suppress(_UnreadableError):
                        self._add_packages()
                case "cpu":
                    self._add_packages()
                case other:
                    raise _UnreadableError(f"no counter for a device {other!r}")
            self._thread = threading.Thread(target=self._keep_looking, daemon=True, name="energy")
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Reads them for the last time."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
        self._look()
        with self._recorded():
            self._resources.close()

    def _look(self) -> None:
        """Takes up what was used since the last look."""
        with self._lock, self._recorded():
            self._joules = sum(counter.joules() for counter in self._counters)

    def _keep_looking(self) -> None:
        while not self._stopping.wait(LOOK_EVERY_S):
            self._look()

    @contextlib.contextmanager
    def _recorded(self) -> Iterator[None]:
        """A failure becomes the reason why the energy is unknown."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever a driver does, the run continues
            words = str(error) if isinstance(error, _UnreadableError) else repr(error)
            self._failure = self._failure or " ".join(words.split())
            log.debug("no energy: %s", self._failure)

    def _add_gpus(self) -> None:
        try:
            library = self._resources.enter_context(gpus.nvml())
            used = gpus.visible()[: self._devices]
            if not used:
                raise _UnreadableError("the driver shows none of the visible GPUs")
            if any(part.uuid.startswith("MIG-") for part in used):
                raise _UnreadableError("a part of a GPU (MIG) has no energy counter")
            read = library.nvmlDeviceGetTotalEnergyConsumption
            self._counters += [
                _Counter(partial(read, gpus.handle(library, gpu)), per_joule=1_000) for gpu in used
            ]
        except gpus.NoNvmlError as error:
            raise _UnreadableError(f"no NVML, {error}") from error
        self._sources.append(f"NVML, {len(used)} GPU{'s' if len(used) > 1 else ''}")

    def _add_packages(self) -> None:
        domains = rapl_packages(self._powercap)
        if not domains:
            raise _UnreadableError(f"no RAPL in {self._powercap}")
        self._counters += [_rapl_counter(domain) for domain in domains.values()]
        names = ", ".join(name.removeprefix("package-") for name in domains)
        self._sources.append(f"RAPL, package{'s' if len(domains) > 1 else ''} {names}")


class _UnreadableError(Exception):
    """A counter is not there or may not be read; the message is the reason."""


class _Counter:
    """How far a counter has risen since this began to look at it."""

    def __init__(
        self, read: Callable[[], int], per_joule: int, wraps_at: int | None = None
    ) -> None:
        self._read = read
        self._per_joule = per_joule
        self._wraps_at = wraps_at
        self._last = read()
        self._risen = 0

    def joules(self) -> float:
        now = self._read()
        step = now - self._last
        if step < 0:
            if self._wraps_at is None:
                raise _UnreadableError("an energy counter was set back")
            step += self._wraps_at
        self._last = now
        self._risen += step
        return self._risen / self._per_joule


def rapl_packages(powercap: Path) -> dict[str, Path]:
    """Folders of the processors' packages by name (``package-0``).

    A package includes its cores, which have separate folders (``intel-rapl:0:0``); the whole
    platform may have one (``psys``), and some packages are shown twice (``intel-rapl-mmio:0``).
    Only ``intel-rapl:N`` that call themselves packages are taken, on AMD's processors too.
    """
    found = {}
    for folder in sorted(powercap.glob("intel-rapl:*")):
        if folder.name.count(":") == 1:
            name = (folder / "name").read_text(encoding="ascii").strip()
            if name.startswith("package-"):
                found[name] = folder
    return found


def _rapl_counter(domain: Path) -> _Counter:
    counter = domain / "energy_uj"

    def read() -> int:
        return int(counter.read_text(encoding="ascii"))

    try:
        wraps_at = int((domain / "max_energy_range_uj").read_text(encoding="ascii"))
        return _Counter(read, 1_000_000, wraps_at)
    except PermissionError as error:
        raise _UnreadableError(f"no RAPL, {counter} may be read by root only") from error
    except OSError as error:
        raise _UnreadableError(f"no RAPL, {error}") from error
