"""What an evaluation says while it runs."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from tf_ganmex.evaluation import timing

LONG = "integrated_gradients × random_sample: perturbation curve"


def test_time_to_go_is_estimated_once_some_is_done(monkeypatch, capsys):
    now = [0.0]
    monkeypatch.setattr(timing.time, "monotonic", lambda: now[0])
    with timing.Reporter(1000, shown=True) as reporter:
        for seconds, rows in ((30, 19), (60, 1), (90, 480)):
            now[0] = seconds
            reporter("", rows)
    lines = capsys.readouterr().err.splitlines()
    assert [line.strip() for line in lines] == [
        "2% in 30 s",
        "2% in 60 s, about 2940 s to go",
        "50% in 90 s, about 90 s to go",
    ]


@pytest.mark.parametrize("width", [80, 120])
def test_a_long_description_leaves_room_for_count_and_time(monkeypatch, width):
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=width, color_system=None)
    monkeypatch.setattr(timing, "Console", lambda **_: console)
    with timing.Reporter(123456, shown=True) as reporter:
        reporter(LONG, 0)
        reporter("", 1000)
        shown = console.render_lines(reporter._bar.make_tasks_table(reporter._bar.tasks), pad=False)
    (line,) = ["".join(segment.text for segment in line) for line in shown]
    assert "1000/123456 0:00:0" in line and "left -:--:--" in line
    assert (LONG in line) == (width == 120) and ("…" in line) == (width == 80)
