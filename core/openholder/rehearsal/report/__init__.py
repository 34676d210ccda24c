"""Render a rehearsal's report as text, HTML, JUnit XML and JSON. Only `render_for_stdout` looks at the terminal."""
