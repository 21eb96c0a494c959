"""The iOS target: so far its manifest, so that specs with iOS devices can be checked, planned and compiled."""
