"""Templates of the files that ``openholder new-plugin`` writes, with ``$placeholders``.

They end in ``.txt``, so that no tool treats them as code of openholder.
"""
