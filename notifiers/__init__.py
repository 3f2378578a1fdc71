"""How an alert is said, exactly once: message, chart, ledger, outbox, relay, and one channel a file."""
