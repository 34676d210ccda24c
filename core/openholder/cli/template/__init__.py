"""What ``openholder new-plugin`` writes: the files of a package, with ``$placeholders`` where the name belongs.

They end in ``.txt`` so that no tool takes them for code of openholder.
"""
