"""`visavis serve` and `visavis doctor`: a server, and whether this machine is fit for one."""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Final

from stream.commands.base import EXIT_FAILED, Arguments, Command, configured, print_json
from stream.commands.options import engine_options, framing_option, listen_options, lookahead_option, system_option
from stream.config import DoctorConfig, ServeConfig, parse_ice_server

_MARKS: Final = {"ok": "ok     ", "warning": "warning", "failed": "FAILED "}


def _serve_options(parser: argparse.ArgumentParser) -> None:
    listen_options(parser)
    system_option(parser)
    engine_options(parser)
    framing_option(parser, default="head")
    lookahead_option(parser)
    parser.add_argument(
        "--max-sessions",
        type=int,
        metavar="N",
        help="callers at a time (default: as many as this machine is measured to draw in time)",
    )
    parser.add_argument(
        "--idle-timeout-s", type=float, default=30.0, metavar="S", help="close a silent connection after (default: 30)"
    )
    parser.add_argument(
        "--allow-origin",
        action="append",
        default=[],
        metavar="ORIGIN",
        help="let pages of this other site use the server, for example https://example.org; may be repeated",
    )
    parser.add_argument("--tls-key", type=Path, metavar="FILE", help="private key (PEM) for HTTPS")
    parser.add_argument(
        "--gateways",
        type=int,
        default=0,
        metavar="N",
        help="processes that speak with the browsers, beside one that draws the faces; one that dies is started anew "
        "(default: 0, one process does it all)",
    )
    parser.add_argument(
        "--only",
        action="store_true",
        help="let no caller choose another system; else one that is chosen first is loaded then, beside the others",
    )


def _serve(args: Arguments) -> int:
    config = configured(
        lambda: ServeConfig(
            host=args.host,
            port=args.port,
            system=args.system,
            backend=args.backend,
            precision=args.precision,
            weights=args.weights,
            framing=args.framing,
            lookahead_ms=args.lookahead_ms,
            max_sessions=args.max_sessions,
            idle_timeout_s=args.idle_timeout_s,
            data_dir=args.data_dir,
            ice_servers=tuple(parse_ice_server(text) for text in args.ice_server),
            allow_origins=tuple(args.allow_origin),
            tls_cert=args.tls_cert,
            tls_key=args.tls_key,
            gateways=args.gateways,
            only=args.only,
        )
    )
    if config.gateways:
        from stream.processes.supervisor import supervise

        supervise(config)
    else:
        from stream.serve import serve

        serve(config)
    return 0


def _doctor_options(parser: argparse.ArgumentParser) -> None:
    listen_options(parser)
    parser.add_argument("--json", action="store_true", help="tell the findings as JSON")


def _doctor(args: Arguments) -> int:
    config = configured(
        lambda: DoctorConfig(
            host=args.host,
            port=args.port,
            data_dir=args.data_dir,
            ice_servers=tuple(parse_ice_server(text) for text in args.ice_server),
            tls_cert=args.tls_cert,
        )
    )
    from stream.doctor import Check, examine

    checks: list[Check] = []
    for check in examine(config):
        checks.append(check)
        if not args.json:
            print(f"{_MARKS[check.verdict]} {check.name}: {check.found}", flush=True)
            if check.remedy:
                print(f"        -> {check.remedy}", flush=True)
    healthy = all(check.verdict != "failed" for check in checks)
    if args.json:
        print_json({"healthy": healthy, "checks": [asdict(check) for check in checks]})
    return 0 if healthy else EXIT_FAILED


SERVE: Final = Command(
    "serve the page and the live sessions",
    "Serve the page and its live sessions: open the address it prints, pick a face, and speak. Ctrl+C stops it.",
    _serve_options,
    _serve,
)
DOCTOR: Final = Command(
    "check this machine and say what to do",
    "Check Python, torch, the processor, UDP, ports, microphone rules, STUN and TURN, folders and the face itself. "
    "Every failure says its remedy. Give the options that you would give to serve.",
    _doctor_options,
    _doctor,
)
