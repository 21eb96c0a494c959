"""The Android target: so far its manifest, so that specs with Android devices can be checked, planned and compiled."""
