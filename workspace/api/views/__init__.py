"""What answers at the addresses of the API, a module per subject."""
