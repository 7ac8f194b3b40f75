"""What a log without a terminal says of long work."""

import pytest

import data.console.progress as progress


def test_what_an_earlier_run_did_says_nothing_of_the_time_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with progress.console_meter("stage 1", 20_000, before=15_000) as bar:
        now[0] += 50.0
        bar.to(15_100)
    said = capsys.readouterr().err
    assert "15,100/20,000" in said
    assert "2450 s left" in said
