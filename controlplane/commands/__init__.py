"""The commands of `zonegate` that speak to a control plane."""
