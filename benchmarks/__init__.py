"""Speed relative to other libraries, as ratios of times in one run. `make bench` writes docs/benchmarks.md."""
