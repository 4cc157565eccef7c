"""What each response of the write API means for the points. The bodies are InfluxDB 2.7.12's own."""

import pytest

from collector.store.write import BadRequest, Partial, Retry, TooLarge, Written, classify


def test_every_2xx_means_written() -> None:
    assert classify(204, {}, b"") == Written()
    assert classify(200, {}, b"{}") == Written()


@pytest.mark.parametrize(
    "complaint",
    [
        "unable to parse 'this is no line': invalid field format",
        "unable to parse 'm,pair= v=1 1700000000007': missing tag value",
        "unable to parse 'm,pair=a v=nan 1700000000007': invalid number",
        "unable to parse 'm v=1 9223372036854775': time outside range -9223372036854775806 - 9223372036854775806",
    ],
)
def test_a_400_about_a_line_is_the_datas_fault(complaint: str) -> None:
    body = f'{{"code":"invalid","message":"{complaint}"}}'.encode()

    assert classify(400, {}, body) == BadRequest(f"400 {complaint}")


@pytest.mark.parametrize(
    "body",
    [
        b'{"code":"invalid","message":"queue length exceeded"}',
        b'{"code":"invalid","message":"invalid precision; valid precision units are ns, us, ms, and s"}',
        b'{"code":"invalid","message":"Please provide either orgID or org"}',
        b"<html>400 Bad Request: the plain HTTP request was sent to HTTPS port</html>",
        b"[]",
        b'{"message":7}',
        b"",
    ],
)
def test_a_400_that_is_not_about_a_line_keeps_the_points(body: bytes) -> None:
    outcome = classify(400, {}, body)

    assert isinstance(outcome, Retry)
    assert outcome.reason == "bad_request"


def test_a_422_reports_how_many_points_one_shard_dropped() -> None:
    message = (
        "failure writing points to database: partial write: field type conflict: "
        'input field \\"v\\" on measurement \\"m\\" is type integer, already exists as type float dropped=3'
    )
    body = f'{{"code":"unprocessable entity","message":"{message}"}}'.encode()

    outcome = classify(422, {}, body)

    assert isinstance(outcome, Partial)
    assert outcome.dropped == 3


def test_a_422_without_a_number_is_partial_too() -> None:
    assert classify(422, {}, b"no") == Partial(None, "422 no")


def test_a_413_from_a_proxy_means_too_large_regardless_of_its_body() -> None:
    assert isinstance(classify(413, {}, b"<html></html>"), TooLarge)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (301, "unexpected_status"),
        (401, "unauthorized"),
        (403, "forbidden"),
        (404, "not_found"),
        (405, "unexpected_status"),
        (408, "timeout"),
        (418, "unexpected_status"),
        (429, "too_many_requests"),
        (500, "server_error"),
        (503, "server_error"),
    ],
)
def test_everything_else_keeps_the_points(status: int, reason: str) -> None:
    outcome = classify(status, {}, b'{"code":"x","message":"why"}')

    assert outcome == Retry(reason, f"{status} why")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "seconds"), [("7", 7.0), ("0", 0.0), ("Wed, 21 Oct 2026 07:28:00 GMT", None), ("", None)]
)
def test_retry_after_is_read_if_given_in_seconds(text: str, seconds: float | None) -> None:
    outcome = classify(503, {"Retry-After": text}, b"")

    assert isinstance(outcome, Retry)
    assert outcome.retry_after_seconds == seconds
