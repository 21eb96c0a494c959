"""What phones and boards share: a session over anything with a POSIX shell. No target of its own: targets build on it."""
