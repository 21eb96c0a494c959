"""Virtual phones: adb daemons on loopback that run commands under mksh and toybox in a private root."""
