"""What phones and boards share: one session over whatever has a POSIX shell. No target of its own: targets build on it."""
