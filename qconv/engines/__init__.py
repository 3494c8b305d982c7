"""Who does the work of a calibration that is cut into shards: processes of this machine, or a Ray cluster."""
