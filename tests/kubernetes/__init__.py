"""Clusters for tests: a real one (`build.sh`, `up.sh`), and a stand-in whose pods are real processes."""
