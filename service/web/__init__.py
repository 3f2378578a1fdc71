"""The page a person opens at 3 a.m.: what is wrong now, how much it costs, and why we think so."""
