"""What people touch: the page that recognises on their device, and the HTTP API."""
