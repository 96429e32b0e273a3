"""Speed beside that of others, measured in one run as ratios. `make bench` writes docs/benchmarks.md."""
