"""Library code logs and prints nothing; a command shows what it hears."""

import logging

import pytest

from data import reporting
from data.console import progress


def work() -> None:
    reporting.logger("recsys.pipeline").info("going on after epoch %d", 3)
    with reporting.meter("stage 1", 2) as meter:
        meter.advance("one")
        meter.resize(3)
        meter.to(3)
    reporting.done("stage 1", "3 songs", 4.2)


def test_a_library_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    work()
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("listening")
def test_a_command_shows_lines_and_steps_on_stderr(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "PLAIN_EVERY_S", -1.0)
    work()
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert out == ""
    assert lines[0] == "going on after epoch 3"
    assert lines[1].startswith("  stage 1     1/2  one")
    assert lines[-1].split() == ["stage", "1", "3", "songs", "4", "s"]


def test_records_carry_what_a_service_logs(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger=reporting.ROOT):
        reporting.done("index", "12 songs", 0.5)
    (record,) = caplog.records
    assert (record.name, vars(record)["step"], vars(record)["seconds"]) == ("htcl.steps", "index", 0.5)


@pytest.mark.parametrize("module", ["recsys.pipeline", "htcl.recsys.pipeline"])
def test_loggers_are_below_htcl_in_a_checkout_and_in_a_wheel(module: str) -> None:
    assert reporting.logger(module).name == "htcl.recsys.pipeline"
