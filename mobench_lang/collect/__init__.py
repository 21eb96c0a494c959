"""Raw artefacts of a run folder → typed records: repeatable at any time, offline, without a device."""
