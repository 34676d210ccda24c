"""HTTP on llhttp, the parser of Node, for the same delegates as Tornado's own HTTP and at a fifth of its cost."""
