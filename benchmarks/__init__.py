"""Compare the speed with other libraries, as ratios of times in one run. `make bench` writes docs/benchmarks.md."""
