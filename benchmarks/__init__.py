"""Speed and memory on the machine at hand; tables in README.md."""
