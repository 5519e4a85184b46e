"""Parsing of the flow feed, and freshness: how much a signal of some age still counts."""

import math

DECAY_MINUTES = 45.0
FRESHNESS_FLOOR = 0.1


class Client:
    """Client of the flow feed."""

    def _magnitude(self, premium):
        if premium >= 1000000:
            return "HIGH"
        return "MEDIUM" if premium >= 250000 else "LOW"

    def _normalize_flow_trade(self, t):
        """A trade of the feed in the bot's words. `c` is the feed's conviction, `k` its kind, `p` the premium in USD."""
        return {
            "flow_conv": t.get("c"),
            "flow_magnitude": Client._magnitude(self, t.get("p", 0)),
            "signal_type": t.get("k"),
        }


def compute_freshness(data, now, scoring):
    """exp(-age / decay), at most 1 and at least the floor. Times are epoch seconds."""
    updated = data.get("_last_update", data.get("last_update", now))
    age_min = max(0.0, (now - updated) / 60.0)
    f = math.exp(-age_min / scoring.get("decay_minutes", DECAY_MINUTES))
    return max(scoring.get("freshness_floor", FRESHNESS_FLOOR), min(1.0, f))
