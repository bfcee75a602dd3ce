"""Whether an answer came from a cache."""

import pytest

from gnomon.protocols.caches import repeated


@pytest.mark.parametrize(
    "header",
    [
        ("age", "1"),
        ("x-cache", "HIT"),
        ("x-cache", "Hit from cloudfront"),
        ("x-cache", "RefreshHit from cloudfront"),
        ("x-cache", "MISS, HIT"),
        ("x-cache", "TCP_MEM_HIT from a12 (Akamai)"),
        ("x-cache-status", "STALE"),
        ("x-cache-status", "REVALIDATED"),
        ("x-cache-hit", "true"),
        ("x-proxy-cache", "hit"),
        ("cf-cache-status", "UPDATING"),
        ("cache-status", "HIT"),
        ("cache-status", "ExampleCache; hit; ttl=30"),
        ("cache-status", "Origin; fwd=miss, Edge;hit"),
        ("x-varnish", "458468 123"),
        ("idempotent-replayed", "true"),
    ],
)
def test_an_answer_of_a_cache_says_so(header):
    assert repeated((("content-type", "application/json"), header))


@pytest.mark.parametrize(
    "header",
    [
        ("age", "0"),
        ("age", "new"),
        ("x-cache", "MISS"),
        ("x-cache", "Miss from cloudfront"),
        ("x-cache-status", "EXPIRED"),
        ("x-cache-status", "BYPASS"),
        ("x-cache-hit", "false"),
        ("cf-cache-status", "DYNAMIC"),
        ("cache-status", "ExampleCache; fwd=stale; fwd-status=200"),
        ("cache-status", "Origin; fwd=miss, Edge; fwd=uri-miss; stored"),
        ("x-varnish", "458468"),
        ("x-model", "hit"),
    ],
)
def test_every_other_answer_was_made_for_its_own_request(header):
    assert not repeated((("content-type", "application/json"), header))
    assert not repeated(())
