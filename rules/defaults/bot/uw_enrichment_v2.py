"""Enrichment: what the score is made of, taken from the flow cache, one symbol at a time.

Only fields that are carried over here reach the score: one that is forgotten counts as absent.
"""

NEUTRAL = "NEUTRAL"


def _skew(data, key):
    value = data.get(key, 0.0)
    return 0.0 if value is None else max(-1.0, min(1.0, value))


def _toxicity(data):
    return max(0.0, min(1.0, abs(data.get("toxicity", 0.0))))


def _squeeze(shorts):
    interest = shorts.get("interest_pct", 0.0)
    if interest <= 10.0:
        return 0.0
    return min(1.0, (interest - 10.0) / 30.0)


def enrich_signal(symbol, cache, regime):
    data = cache.get(symbol, {})
    shorts = data.get("ftd", {})
    enriched_symbol = {}
    enriched_symbol["symbol"] = symbol
    enriched_symbol["regime"] = regime

    # What the feed says.
    enriched_symbol["sentiment"] = data.get("sentiment", NEUTRAL)
    enriched_symbol["conviction"] = data.get("conviction", 0.0)
    enriched_symbol["dark_pool"] = data.get("dark_pool", {})
    enriched_symbol["insider"] = data.get("insider", {})
    enriched_symbol["market_tide"] = data.get("market_tide", {})
    enriched_symbol["calendar"] = data.get("calendar", {})
    enriched_symbol["congress"] = data.get("congress", {})
    enriched_symbol["institutional"] = data.get("institutional", {})
    enriched_symbol["shorts"] = shorts
    enriched_symbol["greeks"] = data.get("greeks", {})
    enriched_symbol["iv_rank"] = data.get("iv_rank")
    enriched_symbol["oi_change"] = data.get("oi_change", {})
    enriched_symbol["etf_flow"] = data.get("etf_flow", {})

    # What is computed from it, unless the feed has done so.
    enriched_symbol["iv_term_skew"] = _skew(data, "iv_term_skew")
    enriched_symbol["smile_slope"] = _skew(data, "smile_slope")
    enriched_symbol["put_call_skew"] = _skew(data, "put_call_skew")
    enriched_symbol["toxicity"] = _toxicity(data)
    enriched_symbol["event_alignment"] = data.get("event_alignment", 0.0)
    if "squeeze_score" in data:
        enriched_symbol["squeeze_score"] = data["squeeze_score"]
    else:
        enriched_symbol["squeeze_score"] = _squeeze(shorts)

    # Motifs of the tape.
    enriched_symbol["motif_whale"] = data.get("motif_whale", {"detected": False})
    enriched_symbol["motif_staircase"] = data.get("motif_staircase", {"detected": False})
    enriched_symbol["motif_burst"] = data.get("motif_burst", {"detected": False})
    enriched_symbol["motif_sweep_block"] = data.get("motif_sweep_block", {"detected": False})
    return enriched_symbol
