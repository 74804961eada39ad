"""Pictures: that they are made, and that what cannot be drawn is refused before the run."""

from pathlib import Path

import pytest

from amqpd.bench.errors import WrongOption
from amqpd.bench.plot import check_plot, draw
from amqpd.bench.trials import Contender, Trial
from tests.bench.support import OURS, THEIRS, compared, result, trial

pytest.importorskip("matplotlib")


@pytest.mark.parametrize(
    ("contenders", "trials", "sweep", "words"),
    [
        ([OURS], [trial([result(consumed=5.0)])], "", ["amqpd 1.0", "autoack"]),
        ([OURS, THEIRS], [compared()], "", ["4.0\N{MULTIPLICATION SIGN}", "400 consumed/s", "RabbitMQ 3.10.8"]),
        ([OURS], [trial([result(consumed=5.0)], point=point) for point in (0, 1, 10)], "queues", ["queues"]),
        ([OURS], [trial([result(consumed=5.0, cpu=1e-6)], point=1)], "queues", ["CPU"]),
    ],
    ids=["bars", "ratios", "sweep", "sweep of CPU"],
)
def test_a_drawing_says_what_it_shows(
    contenders: list[Contender],
    trials: list[Trial],
    sweep: str,
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import matplotlib

    monkeypatch.setitem(matplotlib.rcParams, "svg.fonttype", "none")  # text as text
    draw(str(tmp_path / "result.svg"), contenders, trials, sweep)
    drawn = (tmp_path / "result.svg").read_text()
    assert all(word in drawn for word in words)


def test_a_png_is_one(tmp_path: Path) -> None:
    draw(str(tmp_path / "result.png"), [OURS], [trial([result(consumed=5.0)])], "")
    assert (tmp_path / "result.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("file", ["result.jpg", "result", "nowhere/result.png"])
def test_what_cannot_be_drawn_is_refused(file: str, tmp_path: Path) -> None:
    with pytest.raises(WrongOption):
        check_plot(str(tmp_path / file))


def test_without_matplotlib_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("amqpd.bench.plot.find_spec", lambda name: None)
    with pytest.raises(WrongOption, match=r"pip install 'amqpd\[plot\]'"):
        check_plot(str(tmp_path / "result.png"))
