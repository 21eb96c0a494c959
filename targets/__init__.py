"""Targets: everything of one platform in one folder, imported as `mobench_targets`."""
