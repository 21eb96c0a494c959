"""The shipped specs: the importable library `std/`, the embedded model, and examples."""
