"""Speed compared with other libraries, as ratios of times within one run. `make bench` writes docs/benchmarks.md."""
