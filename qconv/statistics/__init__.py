"""What calibration counts: observers, summaries that merge, the streaming pass over the samples."""
