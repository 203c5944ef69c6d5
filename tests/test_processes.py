"""Work in several processes: all of it is done, and what goes wrong there is told here."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from tf_ganmex.errors import BaselineError
from tf_ganmex.processes import cores, share


def note(folder, part, report):
    """Leaves a file for each number, with the process and its threads."""
    import tensorflow as tf

    for number in part:
        threads = tf.config.threading.get_intra_op_parallelism_threads()
        (folder / f"{number}").write_text(f"{os.getpid()} {threads}")
        report("noting", number)


def fail(part, report):
    raise BaselineError(f"Expected nothing. Received: {part}. Do nothing.")


def die(part, report):
    os._exit(7)


def test_every_part_is_done_in_a_process_of_its_own_with_its_share_of_the_cores(tmp_path):
    reports = []
    share(partial(note, tmp_path), [[1, 2], [3]], lambda *report: reports.append(report))
    assert sorted(reports) == [("noting", 1), ("noting", 2), ("noting", 3)]
    (first, threads), (second, _), (third, _) = ((tmp_path / name).read_text().split() for name in "123")
    assert first == second != third and str(os.getpid()) not in (first, third)
    assert int(threads) == max(1, cores() // 2)


def stay(folder, part, report):
    """Leaves its number, and would stay for an hour."""
    (folder / "started").write_text(str(os.getpid()))
    time.sleep(3600)


def test_processes_end_with_one_that_is_killed(tmp_path):
    code = "import sys, test_processes, functools, pathlib; from tf_ganmex.processes import share; "
    code += "share(functools.partial(test_processes.stay, pathlib.Path(sys.argv[1])), [[1]], print)"
    path = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1])])
    parent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], env=os.environ | {"PYTHONPATH": path})
    number = wait_for(lambda: (tmp_path / "started").exists() and (tmp_path / "started").read_text())
    parent.kill()
    parent.wait()
    wait_for(lambda: not is_running(int(number)))


def wait_for(found, seconds=60):
    """What ``found`` returns as soon as it is true."""
    end = time.monotonic() + seconds
    while not (answer := found()):
        assert time.monotonic() < end
        time.sleep(0.1)
    return answer


def is_running(process):
    """Whether it is there, and not only waited for."""
    try:
        return " Z " not in Path(f"/proc/{process}/stat").read_text()
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(("work", "error", "expected"), [(fail, BaselineError, "[4]"), (die, OSError, "exit code 7")])
def test_what_goes_wrong_is_told(work, error, expected):
    with pytest.raises(error) as caught:
        share(work, [[4]], lambda *report: None)
    assert expected in str(caught.value)
