"""The desired state and how people reach it: settings, manifests, credentials, command line, HTTP."""
