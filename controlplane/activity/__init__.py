"""What partners are doing, as gateways tell it and interfaces to people show it."""
