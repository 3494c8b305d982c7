"""What may be wrong with samples that a model accepts: one check per file."""
