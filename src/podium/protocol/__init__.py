"""What goes over the wires, without any I/O: frames, Open Inference Protocol, OpenAPI."""
