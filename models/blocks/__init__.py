"""Parts that several of the published systems share."""
