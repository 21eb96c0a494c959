"""The Jetson target: so far its manifest, so that specs with Jetson devices can be checked, planned and compiled."""
