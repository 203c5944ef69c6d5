"""The papers' figures measured again, ours beside theirs."""
