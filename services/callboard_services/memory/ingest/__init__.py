"""From a file or a page of the web to pieces with their citations: fetched, read, cut."""
