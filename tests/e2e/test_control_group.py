"""A control group on a real broker: the same payments, whoever scores them."""

from __future__ import annotations

import json
from contextlib import redirect_stdout
from io import StringIO
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.commanding import run_command
from tests.live import LiveWorker, MakeStream, Stream, Traffic
from tests.reading_back import read_back
from worker.codec import is_member
from worker.commands import replay
from worker.config import Settings
from worker.errors import ExitCode


def start(stream: Stream, share: float) -> LiveWorker:
    return stream.start(FRAUD_CONTROL_GROUP_SHARE=str(share))


def scores(stream: Stream) -> list[dict[str, Any]]:
    """The published scores from the threshold on."""
    messages = read_back(stream.clients, stream.scores)
    fields = [json.loads(message.value() or b"") for message in messages]
    return [each for each in fields if each["score"] >= each["threshold"]]


def counted(worker: LiveWorker) -> float:
    text = worker.served()["/metrics"]
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "fraud_events_control_group_total"
    )


def replayed(stream: Stream, transaction_id: str) -> tuple[int, dict[str, Any]]:
    settings, said = Settings.from_env(stream.env()), StringIO()
    with redirect_stdout(said):
        code = run_command(
            replay, settings, "--transaction-id", transaction_id, "--json"
        )
    return code, json.loads(said.getvalue())[0]


def test_a_share_may_change_and_the_audit_knows_who_belonged_to_the_group(
    make_stream: MakeStream,
) -> None:
    stream = make_stream(FRAUD_THRESHOLD="0.2")
    traffic = Traffic(stream)
    worker = start(stream, 0.5)
    traffic.write(600)
    stream.await_answers(600)
    first = counted(worker)
    worker.kill()
    worker = start(stream, 0.125)
    traffic.write(600)
    stream.await_answers(1200)
    second = counted(worker)

    found = scores(stream)
    through = [each for each in found if "control_group" in each]
    assert {each["control_group_share"] for each in found} == {0.5, 0.125}
    for each in found:
        is_through = is_member(each["transaction_id"], each["control_group_share"])
        assert ("control_group" in each) is is_through
        assert each["flagged"] is not is_through
    assert len(through) == first + second > second > 0
    assert not any("reasons" in each for each in through)
    assert "different 0" in stream.verify()
    both = ("--control-group-share", "0.5", "--control-group-share", "0.125")
    assert "different 0" in stream.verify(*both)
    code, said = stream.audit("--control-group-share", "0.5")
    assert code == ExitCode.CRASHED
    lately = [each for each in found if each["control_group_share"] == 0.125]
    assert f"different {len(lately)}" in said
    code, shown = replayed(stream, through[0]["transaction_id"])
    assert code == ExitCode.OK
    assert (shown["flagged"], shown["control_group"]) == (False, True)
    assert worker.end() == ExitCode.OK
