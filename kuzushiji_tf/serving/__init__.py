"""What people touch: the page that recognizes on their device, and the HTTP API."""
