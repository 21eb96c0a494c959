"""An engine and a target for tests: fast, without a model, and as badly behaved as they are told to be."""
