"""An endpoint as a Dockerfile and a compose file: pure functions of the project and its packages."""
