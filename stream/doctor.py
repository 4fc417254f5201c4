"""`visavis doctor`: looks at the machine before a stranger has to. Every failure says its remedy."""

import errno
import ipaddress
import platform
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import models  # also keeps OpenVINO from reporting to its maker
from stream.config import DoctorConfig
from stream.ice_check import IceError, reach

Verdict = Literal["ok", "warning", "failed"]

LEAST_PYTHON: Final = (3, 11)
LEAST_FREE_BYTES: Final = 200 << 20
FRAME_BUDGET_MS: Final = 20.0
UDP_WAIT_S: Final = 1.0
PAGE: Final = Path(models.__file__).parent.parent / "web_client" / "dist" / "index.html"
BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@dataclass(frozen=True)
class Check:
    """What was looked at and how it stands.

    Attributes:
        name: Short, for programs too.
        verdict: "warning" limits what visavis can do here, "failed" stops it.
        found: What is there.
        remedy: What to do about it; empty if nothing.
    """

    name: str
    verdict: Verdict
    found: str
    remedy: str = ""


def examine(config: DoctorConfig) -> Iterator[Check]:
    """All checks, one after the other, the quick ones first."""
    yield check_python(sys.version_info[:3])
    yield from check_torch()
    yield check_openvino()
    yield check_engine()
    yield check_codecs()
    yield check_udp()
    yield check_port(config.host, config.port)
    yield check_microphone(config.host, config.port, tls=config.tls_cert is not None)
    yield from check_ice(config)
    yield check_data_dir(config.data_dir)
    yield check_page(PAGE)
    yield check_browser(shutil.which)
    yield check_face()


def check_python(version: tuple[int, ...]) -> Check:
    """Python is new enough."""
    found = f"{'.'.join(map(str, version))} on {platform.system()} {platform.machine()}"
    if version[:2] < LEAST_PYTHON:
        return Check("python", "failed", found, "install Python 3.11 or newer and make the environment anew")
    return Check("python", "ok", found)


def check_torch() -> Iterator[Check]:
    """Torch loads, and what it can compute with."""
    try:
        import torch
    except (ImportError, OSError) as error:
        yield Check("torch", "failed", f"cannot be loaded: {error}", "pip install torch==2.13.0")
        return
    yield Check("torch", "ok", f"{torch.__version__}, {torch.get_num_threads()} threads")
    yield check_cpu(torch.backends.cpu.get_cpu_capability(), _cpu_flags(Path("/proc/cpuinfo")))
    if torch.cuda.is_available():
        yield Check("cuda", "ok", f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}")
    elif shutil.which("nvidia-smi"):
        remedy = "install a torch built for CUDA: make run TORCH='torch==2.13.0' without the CPU index"
        yield Check("cuda", "warning", "a driver is there, but torch cannot use it; the CPU draws", remedy)
    else:
        yield Check("cuda", "ok", "none; the CPU draws")


def check_cpu(capability: str, flags: frozenset[str]) -> Check:
    """The vector instructions that carry the nets.

    Args:
        capability: As `torch.backends.cpu.get_cpu_capability` names it.
        flags: The processor's flags in Linux's words; empty elsewhere.
    """
    found = capability + (", AMX" if "amx_tile" in flags else ", no AMX" if flags else "")
    if capability in ("DEFAULT", "NO AVX"):
        return Check("cpu", "warning", found, "use a processor with AVX2 (x86) or NEON (ARM): this one may be too slow")
    return Check("cpu", "ok", found)


def check_openvino() -> Check:
    """The CPU engine loads."""
    try:
        import openvino
    except (ImportError, OSError) as error:
        return Check("openvino", "failed", f"cannot be loaded: {error}", "pip install 'openvino>=2026.1'")
    devices = ", ".join(openvino.Core().available_devices)
    return Check("openvino", "ok", f"{openvino.__version__.partition('-')[0]}, {devices}")


def check_engine() -> Check:
    """What `--backend auto` takes here, and why."""
    try:
        from models.engine import choose

        return Check("engine", "ok", str(choose()))
    except (ImportError, OSError) as error:
        return Check("engine", "failed", f"none can be chosen: {error}", "see what is said of torch and openvino")


def check_codecs() -> Check:
    """PyAV has what sessions need (VP8, Opus) and what `render` wants (H.264)."""
    import av

    missing = [name for name in ("libvpx", "libopus") if name not in av.codecs_available]
    if missing:
        return Check(
            "codecs", "failed", f"PyAV {av.__version__} lacks {', '.join(missing)}", "pip install av (its wheel)"
        )
    if "libx264" not in av.codecs_available:
        remedy = "pip install av (its wheel), if the films of `visavis render` should be H.264"
        return Check("codecs", "warning", f"PyAV {av.__version__} lacks libx264; films will be MPEG-4", remedy)
    return Check("codecs", "ok", f"PyAV {av.__version__}: VP8, Opus, H.264")


def check_udp() -> Check:
    """A datagram goes through the loopback, and a socket may be bound on every interface."""
    remedy = "let the firewall or the sandbox pass UDP: WebRTC carries sound and pictures over it"
    try:
        with _udp("127.0.0.1") as one, _udp("127.0.0.1") as other, _udp("0.0.0.0"):
            other.settimeout(UDP_WAIT_S)
            one.sendto(b"visavis", other.getsockname())
            other.recv(16)
    except OSError as error:
        return Check("udp", "failed", f"a datagram to myself did not arrive: {error}", remedy)
    return Check("udp", "ok", "a datagram went through the loopback; every interface can be bound")


def check_port(host: str, port: int) -> Check:
    """`visavis serve` could listen."""
    where = f"{host}:{port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(1)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            remedy = "nothing to do if that is visavis; else give serve another --port"
            return Check("port", "warning", f"something listens on {where} already", remedy)
        return Check("port", "failed", f"cannot listen on {where}: {error}", "give serve another --host or --port")
    return Check("port", "ok", f"{where} is free")


def check_microphone(host: str, port: int, *, tls: bool) -> Check:
    """Browsers will open the microphone: they do so on localhost and over HTTPS only."""
    if tls:
        return Check("microphone", "ok", "HTTPS: browsers will ask for the microphone")
    if _is_loopback(host):
        return Check("microphone", "ok", "on localhost browsers will ask for the microphone without HTTPS")
    remedy = (
        "give serve --tls-cert and --tls-key, put an HTTPS proxy in front, or tunnel: "
        f"ssh -L {port}:127.0.0.1:{port} THIS_MACHINE and open http://127.0.0.1:{port}"
    )
    return Check("microphone", "warning", f"http://{host}: browsers on other machines refuse the microphone", remedy)


def check_ice(config: DoctorConfig) -> Iterator[Check]:
    """Every configured STUN or TURN server answers, TURN to its user."""
    if not config.ice_servers:
        advice = "none configured; fine on this machine and in one network. Callers from elsewhere need TURN over UDP"
        yield Check("ice", "ok", f"{advice}: --ice-server turn:HOST,USER,CREDENTIAL")
    for server in config.ice_servers:
        for url in server.urls:
            try:
                found = reach(url, server.username, server.credential)
            except IceError as error:
                yield Check("ice", "failed", f"{url}: {error.found}", error.remedy)
            else:
                yield Check("ice", "ok", f"{url}: {found}")


def check_data_dir(path: Path) -> Check:
    """Uploads and features can be kept."""
    probe = path / ".doctor"
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"visavis")
        probe.unlink()
    except OSError as error:
        return Check("data", "failed", f"cannot write to {path}: {error.strerror}", "choose another --data-dir")
    free_bytes = shutil.disk_usage(path).free
    found = f"{path} is writable, {free_bytes / 1e9:.1f} GB free"
    if free_bytes < LEAST_FREE_BYTES:
        return Check("data", "warning", found, "make room, or choose another --data-dir")
    return Check("data", "ok", found)


def check_page(page: Path) -> Check:
    """The built page is there."""
    if page.is_file():
        return Check("page", "ok", "built")
    remedy = "check the sources out anew: the built page is part of them (cd web_client && npm ci && npm run build)"
    return Check("page", "failed", "the built page is missing", remedy)


def check_browser(which: Callable[[str], str | None]) -> Check:
    """A Chromium is there for `visavis probe`."""
    for name in BROWSERS:
        if path := which(name):
            return Check("browser", "ok", path)
    remedy = "apt-get install chromium, or playwright install chromium; only `visavis probe` and the tests need it"
    return Check("browser", "warning", "no Chromium found", remedy)


def check_face() -> Check:
    """The default system loads, and draws fast enough for 25 frames a second."""
    from models.registry import DEFAULT, load_system

    reinstall = "check the sources out anew and install again: the weights are part of them"
    try:
        system = load_system(DEFAULT)
    except Exception as error:  # the edge: whatever it is, it is the finding
        return Check("face", "failed", f"system {DEFAULT} cannot be loaded: {error}", reinstall)
    from stream.identities import DEMO_DIR
    from stream.speed import frame_ms

    try:
        took_ms = frame_ms(system, DEMO_DIR)
    except Exception as error:  # as above
        return Check("face", "failed", f"system {DEFAULT} cannot draw: {error}", reinstall)
    if took_ms is None:
        return Check("face", "warning", "no demo identity to draw", reinstall)
    found = f"system {system.name} draws a frame of {system.frame_px} px in {took_ms:.1f} ms"
    if took_ms > FRAME_BUDGET_MS:
        remedy = "close other programs or take a faster processor; frames over 40 ms each will be dropped"
        return Check("face", "warning", found, remedy)
    return Check("face", "ok", found)


def _udp(host: str) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((host, 0))
    return made


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _cpu_flags(path: Path) -> frozenset[str]:
    if not path.is_file():
        return frozenset()
    flags = (line for line in path.read_text().splitlines() if line.startswith(("flags", "Features")))
    return frozenset(next(flags, "").split())
