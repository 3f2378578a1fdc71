"""The alerts that a series can have open, as bits of its ``mode``."""

MODE_CPA, MODE_OUTAGE, MODE_ROAS = 1, 2, 4
MODE_RENAMED = 8
"""The open alert has been given its other name once; it is not given a third."""
BLIND = MODE_CPA | MODE_OUTAGE
"""With one of these open, a series' conversions count in nothing wider, and are not learned."""
MODE_GOOD = 16
"""Implausibly many conversions."""
MODE_BOTH = 32
"""The open alert of a drop of ROAS was found by counts and baskets together."""
UNUSUAL = BLIND | MODE_GOOD
"""With one of these open, a series is not learned."""
