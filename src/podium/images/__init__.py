"""What goes into an image: a base, wheels, Podium, a model's package. The format itself is `podium.oci`."""
