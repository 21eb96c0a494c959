"""What phones and boards share: a session over anything with a POSIX shell. No target itself: targets build on it."""
