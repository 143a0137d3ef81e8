"""Complete sets of parameters as files, the datasets that they are used on, and `refdiff init`, which writes both."""
