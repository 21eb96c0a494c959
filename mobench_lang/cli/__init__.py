"""The command line: arguments in, words and exit statuses out. No logic lives here."""
