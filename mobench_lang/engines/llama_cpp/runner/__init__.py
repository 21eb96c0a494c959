"""The measuring runner of the devices: how it is built, and where the built ones are kept."""
