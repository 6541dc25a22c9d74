"""Every record is answered once, in order, with the right content: or it is found."""

from __future__ import annotations

import pytest

from tests.audited import answers, audit, counts, expected, right, token, token_audit
from worker.audit.report import AuditReport, Finding

OFFSETS = list(range(10))


def test_a_right_stream_has_no_findings() -> None:
    report = audit(OFFSETS, right(OFFSETS))

    assert counts(report) == {}
    assert (report.events, report.scores, report.compared) == (10, 10, 10)
    assert report.is_clean()


def test_a_removed_answer_is_missing() -> None:
    report = audit(OFFSETS, right([o for o in OFFSETS if o != 4]))

    assert counts(report) == {"missing": 1}
    assert [str(e) for e in report.examples] == ["missing transactions/3/4"]


def test_a_repeated_answer_is_duplicated_and_the_order_stays_right() -> None:
    report = audit(OFFSETS, right([0, 1, 2, 3, 1, 2, 3, 4, 5, 6, 7, 8, 9]))

    assert counts(report) == {"duplicated": 3}
    assert not report.is_clean()
    assert report.is_clean(allow_duplicates=True)


def test_an_answer_repeated_at_once_is_duplicated() -> None:
    report = audit(OFFSETS, right([0, 1, 1, *range(2, 10)]), chunk=100)

    assert counts(report) == {"duplicated": 1}
    assert str(report.examples[0]) == "duplicated transactions/3/1 (scores/3/2)"


@pytest.mark.parametrize("chunk", [1, 2, 4, 100])
def test_two_neighbours_that_change_places_are_out_of_order(chunk: int) -> None:
    report = audit(OFFSETS, right([0, 1, 3, 2, 4, 5, 6, 7, 8, 9]), chunk=chunk)

    assert counts(report) == {"out of order": 1}
    assert report.compared == 10


@pytest.mark.parametrize("chunk", [1, 2, 4, 100])
def test_the_last_answer_published_first_puts_all_others_out_of_order(
    chunk: int,
) -> None:
    report = audit(OFFSETS, right([9, *range(9)]), chunk=chunk)

    assert counts(report) == {"out of order": 9}
    assert report.compared == 10


@pytest.mark.parametrize("chunk", [1, 2, 4, 100])
def test_the_first_answer_published_last_is_still_compared(chunk: int) -> None:
    report = audit(OFFSETS, [*right(range(1, 10)), (0, b"wrong")], chunk=chunk)

    assert counts(report) == {"out of order": 1, "different": 1}


def test_an_altered_answer_is_different_and_named_by_its_coordinates() -> None:
    published = right(OFFSETS)
    published[6] = (6, b"wrong")

    report = audit(OFFSETS, published, chunk=100)

    assert counts(report) == {"different": 1}
    assert str(report.examples[0]) == "different transactions/3/6 (scores/3/6): token"


def test_scores_and_dead_letters_are_each_in_order() -> None:
    report = audit(
        OFFSETS, right([0, 1, 3, 4, 6, 7, 8, 9]), right([2, 5]), rejected=[2, 5]
    )

    assert counts(report) == {}
    assert (report.scores, report.dead_letters) == (8, 2)


def test_a_removed_dead_letter_is_missing() -> None:
    report = audit(
        OFFSETS, right([0, 1, 3, 4, 6, 7, 8, 9]), right([5]), rejected=[2, 5]
    )

    assert counts(report) == {"missing": 1}


def test_an_answer_on_both_topics_is_duplicated() -> None:
    report = audit(OFFSETS, right(OFFSETS), right([5]), rejected=[])

    assert counts(report) == {"duplicated": 1}


def test_an_answer_to_an_offset_without_a_record_is_unexpected() -> None:
    """Markers that end a commit take offsets: nobody may answer them."""
    offsets = [0, 1, 2, 4, 5]

    report = audit(offsets, right([0, 1, 2, 3, 4, 5]))

    assert counts(report) == {"unexpected": 1}
    assert str(report.examples[0]) == "unexpected transactions/3/3"


def test_answers_outside_the_range_are_left_alone() -> None:
    report = audit(range(5, 8), right(range(20)), first=5, end=8)

    assert counts(report) == {}
    assert report.scores == 3


def test_nothing_compared_is_no_proof() -> None:
    report = AuditReport()
    report.not_compared = 3

    assert not report.is_clean()


def test_no_records_and_no_answers_are_clean() -> None:
    assert AuditReport().is_clean()


def test_content_that_waits_for_too_long_is_forgotten_but_still_counted() -> None:
    report = AuditReport()
    whole = token_audit(0, 10, report, max_waiting=3)
    whole.expect(expected(OFFSETS))
    whole.publish(answers(right([9])))

    whole.publish(answers([(0, b"wrong"), (8, b"wrong")]))
    whole.finish()

    assert counts(report) == {"missing": 7, "out of order": 2, "different": 1}


def test_answers_held_for_later_records_are_bounded() -> None:
    report = AuditReport()
    whole = token_audit(0, 10, report, max_waiting=3)
    whole.expect(expected([0]))

    whole.publish(answers(right(OFFSETS)))

    assert whole.early(is_score=True) == 3


def test_records_without_answers_are_bounded() -> None:
    report = AuditReport()
    whole = token_audit(0, 10, report, max_waiting=3)
    whole.expect(expected(OFFSETS))

    whole.publish(answers(right([9])))

    assert whole.unanswered(is_score=True) == 3


def test_examples_show_every_kind_before_more_of_the_same() -> None:
    published = right([1, 3, 2, 2, 5])
    published.append((6, b"wrong"))
    report = audit(range(40), published)
    report.max_examples = 4

    shown = [e.finding for e in report.shown_examples()]

    assert shown == [
        Finding.MISSING,
        Finding.DUPLICATED,
        Finding.OUT_OF_ORDER,
        Finding.DIFFERENT,
    ]


def test_examples_never_carry_content() -> None:
    report = audit(OFFSETS, [(o, b"secret " + token(o)) for o in OFFSETS])

    assert not [e for e in report.examples if "secret" in str(e)]
    assert len(report.examples) == 10
