"""HTML reports: elements, and the document around them, without scripts and network."""
