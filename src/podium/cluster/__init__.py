"""An endpoint on Kubernetes: its objects, which are pure functions of the project, and their way there."""
