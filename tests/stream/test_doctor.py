"""The doctor: each check against the real thing, healthy and sick."""

import asyncio
import json
import socket
import threading

import pytest
import torch
from aioice import stun

from stream import doctor
from stream.config import DoctorConfig, parse_ice_server
from stream.ice_check import IceError, reach, split


def test_a_python_that_is_too_old_is_told_which_to_install():
    check = doctor.check_python((3, 10, 4))
    assert (check.verdict, "3.11" in check.remedy) == ("failed", True)
    assert doctor.check_python((3, 12, 0)).verdict == "ok"


@pytest.mark.parametrize(
    ("capability", "flags", "verdict", "found"),
    [
        ("AVX2", {"avx2"}, "ok", "AVX2, no AMX"),
        ("AVX512", {"amx_tile"}, "ok", "AVX512, AMX"),
        ("DEFAULT", set(), "warning", "DEFAULT"),
    ],
)
def test_the_processor_is_judged_by_its_vector_instructions(capability, flags, verdict, found):
    check = doctor.check_cpu(capability, frozenset(flags))
    assert (check.verdict, check.found) == (verdict, found)


def test_this_machine_has_what_the_tests_need():
    checks = {check.name: check for check in doctor.check_torch()}
    checks |= {check.name: check for check in (doctor.check_openvino(), doctor.check_codecs(), doctor.check_udp())}
    assert {name: check.verdict for name, check in checks.items() if check.verdict == "failed"} == {}
    assert checks["codecs"].found.startswith("PyAV ")


def test_the_doctor_says_what_auto_takes_and_why():
    backend = "cudagraph in fp16 on cuda" if torch.cuda.is_available() else "openvino in "
    assert doctor.check_engine().found.startswith(backend)
    assert ": " in doctor.check_engine().found


def test_a_port_in_use_is_a_warning_and_an_unknown_host_a_failure():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        check = doctor.check_port("127.0.0.1", taken.getsockname()[1])
    assert (check.verdict, "--port" in check.remedy) == ("warning", True)
    check = doctor.check_port("192.0.2.1", 0)  # an address of documentation: not ours
    assert (check.verdict, "--host" in check.remedy) == ("failed", True)
    assert doctor.check_port("127.0.0.1", 0).verdict == "ok"


@pytest.mark.parametrize(
    ("host", "tls", "verdict"),
    [
        ("127.0.0.1", False, "ok"),
        ("localhost", False, "ok"),
        ("::1", False, "ok"),
        ("0.0.0.0", False, "warning"),
        ("studio.example.org", False, "warning"),
        ("studio.example.org", True, "ok"),
    ],
)
def test_browsers_open_the_microphone_on_localhost_or_over_https_only(host, tls, verdict):
    check = doctor.check_microphone(host, 8080, tls=tls)
    assert check.verdict == verdict
    assert ("--tls-cert" in check.remedy) == (verdict == "warning")


def test_a_data_folder_that_cannot_be_made_is_a_failure_with_a_remedy(tmp_path):
    (tmp_path / "file").touch()
    check = doctor.check_data_dir(tmp_path / "file" / "data")
    assert (check.verdict, "--data-dir" in check.remedy) == ("failed", True)
    assert doctor.check_data_dir(tmp_path / "data").verdict == "ok"
    assert list((tmp_path / "data").iterdir()) == []


def test_a_missing_page_and_a_missing_browser_say_how_to_get_them(tmp_path):
    assert "npm run build" in doctor.check_page(tmp_path / "index.html").remedy
    check = doctor.check_browser(lambda name: None)
    assert (check.verdict, "chromium" in check.remedy) == ("warning", True)
    assert doctor.check_browser(lambda name: f"/bin/{name}").found == "/bin/chromium"


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("stun:a.example", ("stun", "a.example", 3478, "udp")),
        ("turn:a.example:99?transport=tcp", ("turn", "a.example", 99, "tcp")),
        ("TURNS:a.example", ("turns", "a.example", 5349, "tcp")),
    ],
)
def test_an_ice_address_is_taken_apart(url, parts):
    assert split(url) == parts


class StunServer(asyncio.DatagramProtocol):
    """Answers Binding requests; refuses or ignores everything else."""

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        request = stun.parse_message(data)
        if request.message_method != stun.Method.BINDING:
            attributes = {"ERROR-CODE": (403, "Forbidden")}
            kind = stun.Class.ERROR
        else:
            attributes, kind = {"XOR-MAPPED-ADDRESS": address}, stun.Class.RESPONSE
        answer = stun.Message(request.message_method, kind, request.transaction_id, attributes)
        self.transport.sendto(bytes(answer), address)


@pytest.fixture
def stun_port():
    """A STUN server in a thread of its own: `reach` runs a loop itself."""
    started, port, stop = threading.Event(), [], []

    async def serve():
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(StunServer, local_addr=("127.0.0.1", 0))
        port.append(transport.get_extra_info("sockname")[1])
        done = asyncio.Event()
        stop.append(lambda: loop.call_soon_threadsafe(done.set))
        started.set()
        await done.wait()
        transport.close()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert started.wait(5)
    yield port[0]
    stop[0]()
    thread.join(5)


def test_a_stun_server_that_answers_tells_our_address(stun_port):
    assert reach(f"stun:127.0.0.1:{stun_port}", None, None).startswith("answers; it sees this machine as 127.0.0.1:")


def test_a_turn_server_that_refuses_its_user_says_to_check_the_credential(stun_port):
    with pytest.raises(IceError, match="check the user and the credential"):
        reach(f"turn:127.0.0.1:{stun_port}", "ann", "wrong")


def test_a_server_that_is_not_there_is_told_by_its_host_and_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        with pytest.raises(IceError, match=f"open UDP port {port} on 127.0.0.1"):
            reach(f"stun:127.0.0.1:{port}", None, None, wait_s=0.3)
    with pytest.raises(IceError, match="cannot be reached"):
        reach(f"turn:127.0.0.1:{port}?transport=tcp", "ann", "secret")


def test_each_configured_server_gets_a_finding_and_none_a_word_about_nat(stun_port):
    good, bad = f"stun:127.0.0.1:{stun_port}", f"turn:127.0.0.1:{stun_port},ann,wrong"
    config = DoctorConfig(ice_servers=(parse_ice_server(good), parse_ice_server(bad)))
    assert [check.verdict for check in doctor.check_ice(config)] == ["ok", "failed"]
    (alone,) = doctor.check_ice(DoctorConfig())
    assert (alone.verdict, "TURN over UDP" in alone.found) == ("ok", True)


def test_the_command_tells_its_findings_as_json_and_by_its_exit_code(tmp_path, capsys, monkeypatch):
    from stream import cli

    monkeypatch.setattr(doctor, "check_face", lambda: doctor.Check("face", "ok", "drawn"))
    (tmp_path / "file").touch()
    words = ["doctor", "--json", "--port", "0", "--data-dir"]
    assert cli.main([*words, str(tmp_path / "data")]) == 0
    healthy = json.loads(capsys.readouterr().out)
    assert healthy["healthy"] is True
    assert {"python", "torch", "cpu", "cuda", "udp", "microphone", "ice", "data"} <= {
        c["name"] for c in healthy["checks"]
    }
    assert cli.main([*words, str(tmp_path / "file" / "data")]) == 1
    sick = json.loads(capsys.readouterr().out)
    assert [c["remedy"] for c in sick["checks"] if c["verdict"] == "failed"] == ["choose another --data-dir"]
    assert sick["healthy"] is False
