"""`visavis probe` against a real server, as a program would call it."""

import json
import subprocess
import sys

COMMAND = (sys.executable, "-c", "import sys; from stream.cli import main; sys.exit(main())", "probe")


def test_the_probe_measures_a_running_server(server):
    done = subprocess.run(
        [*COMMAND, "--url", server.url, "--seconds", "10", "--json", "-"], capture_output=True, text=True, timeout=90
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["onsets_played"] >= 3
    assert result["onsets_heard"] >= result["onsets_played"] - 1
    assert result["onsets_seen"] >= result["onsets_heard"] - 1
    # a picture cannot be shown before its sound was captured, sent and looked ahead of
    assert result["media_to_screen_ms"]["p50"] > result["lookahead_ms"]
    assert result["mic_to_screen_ms"]["p50"] > result["lookahead_ms"]
    assert result["frames_received"] > 100
    assert result["av_offset_ms"]["n"] > 30
    assert result["server"]["sent"] > 100
    assert server.running


def test_the_probe_says_that_there_is_no_server():
    done = subprocess.run(
        [*COMMAND, "--url", "http://127.0.0.1:9", "--seconds", "5"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "visavis serve" in done.stderr
