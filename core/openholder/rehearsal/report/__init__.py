"""A rehearsal's report as text, HTML, JUnit's XML and JSON: pure functions of a `Report`, all of one `Summary`."""
