"""OCI images and registries: documents, layouts on a disk, the registry's HTTP API. Knows no model."""
