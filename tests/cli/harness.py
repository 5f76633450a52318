# SPDX-License-Identifier: Apache-2.0
"""What the tests of the program share: running it, on pipes or a terminal, and the models they use."""
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

EDGEWISE = SYNTH = WORK = None  # the programs, and a folder with the models of make_models


def environment(**extra):
    env = {k: v for k, v in os.environ.items() if not k.startswith("EDGEWISE") and k != "NO_COLOR"}
    env.update(extra)
    return env


def edgewise(*arguments, stdin=b"", env=None, timeout=300):
    return subprocess.run([EDGEWISE, *map(str, arguments)], input=stdin, capture_output=True,
                          env=env or environment(), timeout=timeout)


def path(name):
    return os.path.join(WORK, name)


def read_npy(name):
    """(shape, floats) of a float32 file of format version 1.0."""
    with open(name, "rb") as file:
        data = file.read()
    assert data[:8] == b"\x93NUMPY\x01\x00", data[:8]
    length = struct.unpack("<H", data[8:10])[0]
    assert (10 + length) % 64 == 0
    header = data[10:10 + length].decode()
    assert header.endswith("\n") and "'descr': '<f4'" in header and "'fortran_order': False" in header
    rows, columns = map(int, re.search(r"'shape': \((\d+), (\d+)\)", header).groups())
    body = data[10 + length:]
    assert len(body) == 4 * rows * columns
    return (rows, columns), body


def interrupt(process):
    """Sends SIGINT as soon as the program catches it, so when it is computing."""
    bit = 1 << (signal.SIGINT - 1)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with open(f"/proc/{process.pid}/status", encoding="ascii") as file:
            if int(re.search(r"SigCgt:\s*([0-9a-f]+)", file.read()).group(1), 16) & bit:
                break
        time.sleep(0.01)
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)


def on_terminal(arguments, stop_at=None, **extra):
    """Runs the program with a terminal as its three streams; (status, what it showed). Ctrl-C is
    typed once when `stop_at` has been shown."""
    pid, master = pty.fork()
    if pid == 0:
        os.execve(EDGEWISE, [EDGEWISE, *arguments], environment(TERM="xterm", **extra))
    shown, stopped, deadline = b"", False, time.monotonic() + 120
    while time.monotonic() < deadline:
        if not select.select([master], [], [], 1)[0]:
            continue
        try:
            piece = os.read(master, 65536)
        except OSError:
            break
        if not piece:
            break
        shown += piece
        if stop_at is not None and not stopped and stop_at in shown:
            os.write(master, b"\x03")
            stopped = True
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.close(master)
    return status, shown.decode(errors="replace")


class Case(unittest.TestCase):
    def done(self, *arguments, **options):
        result = edgewise(*arguments, **options)
        self.assertEqual(result.returncode, 0, result.stderr.decode())
        self.assertEqual(result.stderr, b"")
        return result.stdout

    def done_json(self, *arguments, **options):
        out = self.done(*arguments, **options)
        self.assertEqual(out.count(b"\n"), 1)
        return json.loads(out)

    def one_line(self, result, status):
        error = result.stderr.decode()
        self.assertEqual(result.returncode, status, error)
        self.assertTrue(error.startswith("edgewise: ") and error.endswith("\n"), error)
        self.assertEqual(error.count("\n"), 1, error)
        return error

    def fails(self, *arguments, **options):
        return self.one_line(edgewise(*arguments, **options), 1)

    def misused(self, *arguments):
        result = edgewise(*arguments)
        self.assertEqual(result.stdout, b"")
        return self.one_line(result, 2)


def make_models():
    for arguments in (["tiny", path("tiny.gguf")],
                      ["tiny", "--vocab", "none", "--seed", "2", path("bare.gguf")],
                      ["tiny", "hidden_size=512", "intermediate_size=2048", path("slow.gguf")],
                      ["tiny", "hidden_size=256", "intermediate_size=512", "--type", "f32",
                       path("wide.gguf")],
                      ["tiny", "--hf", path("folder")]):
        subprocess.run([SYNTH, *arguments], check=True, stdout=subprocess.DEVNULL)


def main(usage):
    """PROGRAM EDGEWISE SYNTH-MODEL [unittest arguments]"""
    global EDGEWISE, SYNTH, WORK
    if len(sys.argv) < 3:
        sys.exit(usage)
    EDGEWISE, SYNTH = map(os.path.abspath, sys.argv[1:3])
    with tempfile.TemporaryDirectory() as WORK:
        make_models()
        unittest.main(argv=sys.argv[:1] + sys.argv[3:])
