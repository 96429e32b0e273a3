"""Speed compared with other libraries, as ratios within one run. `make bench` writes docs/benchmarks.md."""
