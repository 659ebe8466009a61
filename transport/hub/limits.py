"""What a hub grants one client, as numbers.

Knows nothing of HTTP. Invariant: whatever a client does or leaves undone, each thing that it occupies has a bound here.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds for clients; the defaults suit a hub on the open internet.

    Attributes:
        authenticate_s: From the first packet of a connection to a good token; TLS handshake and headers included.
        waiting_max: Connections that may be in that phase at once; one more closes the oldest.
        exchanges_max: Exchanges that may run at once; more are told to come again.
        request_bytes_max: Body of one request. It is never held as a whole; what a node sends at once ends here.
        idle_s: Standstill of a body that is received or of an answer that is sent.
        body_bytes_per_s_min: What a body has to bring on average, once `idle_s` has been waited for it in total.
        exchange_s: One exchange, all in all.
        drain_s: What running exchanges get to end when the hub stops.
        downloads_max: Starters that may be sent at once, beside the exchanges.
        starter_records_min: Records from which on a space has a starter: fewer come as fast by the feed.
        starter_age_s: How long one is given; then another is drawn for the next who asks.
        starter_behind: The share of its records that may have changed since.
        starter_wait_s: How long a client waits for one that is being drawn before it is told to ask again.
        starters_max: Starters that are kept, of all spaces.
    """

    authenticate_s: float = 10.0
    waiting_max: int = 512
    exchanges_max: int = 256
    request_bytes_max: int = 1024 * 1024 * 1024
    idle_s: float = 60.0
    body_bytes_per_s_min: float = 64.0
    exchange_s: float = 3600.0
    drain_s: float = 10.0
    downloads_max: int = 64
    starter_records_min: int = 20_000
    starter_age_s: float = 24 * 3600.0
    starter_behind: float = 0.1
    starter_wait_s: float = 20.0
    starters_max: int = 16
