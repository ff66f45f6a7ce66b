"""From a calibrated float graph to an integer program and the client's side of it."""
