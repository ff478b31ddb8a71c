"""Files and folders, local or remote, and what is written into them.

Imports nothing of tfspec but `errors`. Start at `files`, through which every
path of the API passes.
"""
