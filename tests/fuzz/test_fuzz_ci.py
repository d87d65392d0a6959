"""A million inputs to the native decoders, under ASan and UBSan: what CI runs of `make fuzz`."""

import os
import shutil
import subprocess
import sys

import pytest

from tests.fuzz.__main__ import ROOT
from tests.fuzz.catalogue import TARGETS

INPUTS = 1_000_000
NATIVE = ",".join(target.name for target in TARGETS if target.native)


@pytest.mark.skipif(shutil.which("clang") is None, reason="clang is not installed")
@pytest.mark.timeout(900)
def test_a_million_inputs_under_the_sanitizers(tmp_path):
    """Ends after so many inputs, about half a minute; the seconds are for a machine that hangs."""
    call = [sys.executable, "-m", "tests.fuzz", "--only", NATIVE, "--max-len", "256"]
    call += ["--executions", str(INPUTS + 10_000), "--at-least", str(INPUTS), "--seconds", "1200"]
    environment = {**os.environ, "ZUJI_FUZZ_DIR": str(tmp_path)}
    ran = subprocess.run(
        call, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout[-5000:] + ran.stderr[-5000:]
