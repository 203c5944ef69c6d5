"""The peers, each with its best settings."""
