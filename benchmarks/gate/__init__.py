"""Champion against challenger: a verdict for CI."""
